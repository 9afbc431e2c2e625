"""A real PostgreSQL for every test: a server per run, a fresh database per test.

ESTEIRA_TEST_DATABASE_URL  the server to use: an account that may create databases
ESTEIRA_TEST_POSTGRES_BIN  otherwise: the folder of the PostgreSQL to start (/usr/lib/postgresql/15/bin)

With neither: a container if an engine answers, else the embedded one. Under pytest-xdist each worker has its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio
import structlog

from esteira.embedded import find_bin_dir
from tests.postgres import INSTALL, Clock, PostgresServer, Psql, open_folder, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script, whose processes inherit it: those that tests interrupt would never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def default_logging() -> Iterator[None]:
    """Logging as it was: a program's main that a test called would go on writing to that test's closed stderr."""
    yield
    structlog.reset_defaults()


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
