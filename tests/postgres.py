"""What the fixtures are made of: a PostgreSQL server for a run, its databases, and the fake clock of one."""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import asyncpg
import psycopg
from psycopg import sql

from esteira.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        # Quicker than through the WAL, a thousand times a run.
        self._execute("create database {} template {} strategy file_copy", name, template)
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
def open_folder(under: Path | None = None) -> Iterator[Path]:
    """Make a folder that everybody may enter, unlike pytest's own: as root PostgreSQL runs under another account."""
    path = Path(tempfile.mkdtemp(prefix="esteira-test-", dir=under))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def memory() -> Path | None:
    """Return a folder in memory with room for a server, if there is one.

    Copying the 500 files of a database takes 0.02 s there, a thousand times a run; on a disk 0.05 to 0.3 s.
    """
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 4 * 1024**3
    return shared if roomy else None


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
        open_folder(memory()) as folder,
        EmbeddedPostgres(folder / "data", durable=False, settings=SETTINGS, bin_dir=bin_dir) as embedded,
    ):
        yield embedded.url()
