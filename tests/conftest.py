"""A real PostgreSQL for every test: a server per run, a fresh database per test.

ESTEIRA_TEST_DATABASE_URL  the server to use: an account that may create databases
ESTEIRA_TEST_POSTGRES_BIN  otherwise: the folder of the PostgreSQL to start (/usr/lib/postgresql/15/bin)

With neither: a container if an engine answers, else the embedded one. Under pytest-xdist each worker has its own.
"""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import subprocess
import tempfile
import warnings
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from esteira.embedded import EmbeddedPostgres, find_bin_dir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

INSTALL = Path(__file__).parents[1] / "sql" / "install.sql"
SETTINGS = {"max_connections": "200", "shared_buffers": "256MB"}
# A commit still waits for its WAL to be written: the order of events stays that of a durable server.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class Psql(Protocol):
    def __call__(self, script: str, *, url: str | None = None) -> str: ...


@dataclass(frozen=True)
class PostgresServer:
    """A server, by the address of its maintenance database, and programs (psql, pg_dump) that can talk to it."""

    admin_url: str
    bin_dir: Path

    def url(self, database: str) -> str:
        return urlsplit(self.admin_url)._replace(path=f"/{database}").geturl()

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """Make a database, give its name, and drop it whoever is still connected."""
        name = f"esteira_test_{secrets.token_hex(8)}"
        self._execute("create database {} template {}", name, template)
        try:
            yield name
        finally:
            self._execute("drop database {} with (force)", name)

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


class Clock:
    """The fake time of a test's database. Once set it stands still until it is set again or advanced.

    New sessions see it by themselves, sessions that are open already only if they are named.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def set(self, *connections: asyncpg.Connection[Any], when: datetime) -> None:
        own = await asyncpg.connect(self._url)
        alter = "format('alter database %I set esteira.fake_now = %L', current_database(), $1::text)"
        await own.execute(await own.fetchval(f"select {alter}", when.isoformat()))
        await own.close()
        for connection in connections:
            await connection.execute("select set_config('esteira.fake_now', $1, false)", when.isoformat())

    async def advance(self, *connections: asyncpg.Connection[Any], seconds: float) -> None:
        await self.set(*connections, when=await self.now() + timedelta(seconds=seconds))

    async def now(self) -> datetime:
        own = await asyncpg.connect(self._url)
        now: datetime = await own.fetchval("select esteira.now()")
        await own.close()
        return now


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that everybody may enter, unlike pytest's own: as root PostgreSQL runs under another account."""
    path = Path(tempfile.mkdtemp(prefix="esteira-test-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def container() -> Any:
    """Return a PostgreSQL container that is not started yet, or None when no engine answers."""
    settings = [f"--{name}={value}" for name, value in {**SETTINGS, **NOT_DURABLE}.items()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from testcontainers.community.postgres import PostgresContainer

            return PostgresContainer("postgres:18", driver=None).with_command(["postgres", *settings])
        except Exception:  # noqa: BLE001  # whatever the reason, there is no engine for us
            return None
        finally:
            gc.collect()  # the socket that found no engine is closed only here, and warns


@contextmanager
def running_server(bin_dir: Path) -> Iterator[str]:
    """Give the address of the server that the module's docstring promises."""
    given = os.environ.get("ESTEIRA_TEST_DATABASE_URL")
    if given:
        yield given
        return
    contained = None if "ESTEIRA_TEST_POSTGRES_BIN" in os.environ else container()
    if contained is not None:
        with contained:
            yield contained.get_connection_url()
        return
    with (
        open_folder() as folder,
        EmbeddedPostgres(folder / "data", durable=False, settings=SETTINGS, bin_dir=bin_dir) as embedded,
    ):
        yield embedded.url()


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """A temporary folder that everybody may enter."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_bin() -> Path:
    """The folder of the PostgreSQL programs that this run uses."""
    chosen = os.environ.get("ESTEIRA_TEST_POSTGRES_BIN")
    return find_bin_dir(Path(chosen) if chosen else None)


@pytest.fixture(scope="session")
def run_psql(postgres_bin: Path) -> Callable[..., str]:
    """Run psql with further arguments on a database's address, and give what it printed."""

    def run(url: str, *arguments: str | Path, script: str | None = None) -> str:
        command = [postgres_bin / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *arguments, "-d", url]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            error = subprocess.CalledProcessError(done.returncode, "psql", done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def postgres_server(postgres_bin: Path) -> Iterator[PostgresServer]:
    """The run's server."""
    with running_server(postgres_bin) as url:
        yield PostgresServer(url, postgres_bin)


@pytest.fixture(scope="session")
def template_database(postgres_server: PostgresServer, run_psql: Callable[..., str]) -> Iterator[str]:
    """The name of a database with the schema in it, to be copied and otherwise left alone."""
    with postgres_server.database() as name:
        run_psql(postgres_server.url(name), "--single-transaction", "-f", INSTALL)
        yield name


@pytest.fixture
def database_url(postgres_server: PostgresServer, template_database: str) -> Iterator[str]:
    """The test's own database, with the schema."""
    with postgres_server.database(template_database) as name:
        yield postgres_server.url(name)


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The test's own database, without the schema."""
    with postgres_server.database() as name:
        yield postgres_server.url(name)


@pytest.fixture
def psql(request: pytest.FixtureRequest, run_psql: Callable[..., str]) -> Psql:
    """Run a script in psql, on `url` or the test's database; unaligned rows without a header come back.

    A failing statement raises CalledProcessError, with psql's message as `stderr`.
    """

    def run(script: str, *, url: str | None = None) -> str:
        return run_psql(url or request.getfixturevalue("database_url"), script=script)

    return run


@pytest_asyncio.fixture
async def connect(database_url: str) -> AsyncIterator[Callable[..., Awaitable[asyncpg.Connection[Any]]]]:
    """Open asyncpg connections to the test's database (or `url`), closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_connection(url: str = database_url, **options: Any) -> asyncpg.Connection[Any]:
            connection: asyncpg.Connection[Any] = await asyncpg.connect(url, **options)
            stack.push_async_callback(connection.close, timeout=10)
            return connection

        yield open_connection


@pytest.fixture
def clock(database_url: str) -> Clock:
    """The fake clock of the test's database: `await clock.set(*connections, when=…)`, `.advance(…, seconds=…)`."""
    return Clock(database_url)
