"""The servers that everything is measured on: one PostgreSQL, a database for each; Redis where asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from bench import redis_server
from esteira.embedded import EmbeddedPostgres

# fsync, synchronous_commit and full_page_writes are on, as they are by default. No checkpoint falls into a round by the
# clock: it would hit one system and spare another. There is one before each enqueueing in bulk, and it keeps the WAL's
# files for those to come.
SETTINGS = {
    "shared_buffers": "512MB",
    "max_connections": "200",
    "min_wal_size": "4GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}


class Place:
    """Where one system keeps its jobs in one scenario."""

    def __init__(self, url: str, servers: Servers) -> None:
        self.url = url
        self.servers = servers
        self._connection: asyncpg.Connection[Any] | None = None
        self.asked = 0

    async def connected(self) -> asyncpg.Connection[Any]:
        """Return the harness's own connection."""
        if self._connection is None:
            # Our questions find their rows by an index wherever there is one, whatever the statistics say.
            settings = {"enable_seqscan": "off", "application_name": "bench"}
            self._connection = await asyncpg.connect(self.url, timeout=30, server_settings=settings)
        return self._connection

    async def another_connection(self) -> asyncpg.Connection[Any]:
        """Return one more connection; its caller closes it."""
        return await asyncpg.connect(self.url, timeout=30)

    async def value(self, query: str, *arguments: object) -> Any:
        """Return a value of the database; its commit is counted as ours, not as the system's."""
        self.asked += 1
        return await (await self.connected()).fetchval(query, *arguments, timeout=900)

    async def run(self, statements: str) -> None:
        """Run statements without arguments."""
        self.asked += 1
        await (await self.connected()).execute(statements, timeout=1800)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()


class Servers:
    """PostgreSQL, started, and Redis, started when first asked for."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path, stack: ExitStack) -> None:
        self._postgres, self._folder, self._stack = postgres, folder, stack
        self._redis_port: int | None = None

    async def version(self) -> str:
        """Return PostgreSQL's version and what differs from its defaults."""
        connection = await asyncpg.connect(self._postgres.url())
        version = str(await connection.fetchval("select split_part(version(), ' on ', 1)"))
        await connection.close()
        return version

    async def stock_wal(self, megabytes: int) -> None:
        """Make the WAL's files that the first rounds write into, as a server that has run for a while has them.

        To make one of 16 MB took 3 ms at first and 40 ms later on: with 7 a second, rounds fell by a quarter one after
        the other.
        """
        connection = await asyncpg.connect(self._postgres.url())
        await connection.fetchval(
            "select count(pg_logical_emit_message(false, 'bench', repeat(' ', 1 << 20))) from generate_series(1, $1)",
            megabytes,
        )
        await connection.execute("checkpoint")
        await connection.close()

    async def new_place(self, name: str) -> Place:
        """Make an empty database."""
        connection = await asyncpg.connect(self._postgres.url())
        await connection.execute(f'drop database if exists "{name}" with (force)')
        await connection.execute(f'create database "{name}"')
        await connection.close()
        return Place(self._postgres.url(name), self)

    async def drop(self, name: str) -> None:
        """Remove a database, so that its dirty pages and its files burden nobody else."""
        connection = await asyncpg.connect(self._postgres.url())
        await connection.execute(f'drop database if exists "{name}" with (force)')
        await connection.close()

    def redis_port(self) -> int:
        """Start Redis if it is not running, and return its port. Raises MissingError."""
        if self._redis_port is None:
            self._redis_port = self._stack.enter_context(redis_server.started(self._folder))
        return self._redis_port


@contextmanager
def servers() -> Iterator[Servers]:
    """Start a durable PostgreSQL. ESTEIRA_BENCH_POSTGRES_BIN is the folder of another one than the embedded."""
    chosen = os.environ.get("ESTEIRA_BENCH_POSTGRES_BIN")
    folder = Path(tempfile.mkdtemp(prefix="esteira-bench-"))
    folder.chmod(0o755)  # as root the server runs under another account
    try:
        with (
            ExitStack() as stack,
            EmbeddedPostgres(folder / "data", settings=SETTINGS, bin_dir=Path(chosen) if chosen else None) as postgres,
        ):
            yield Servers(postgres, folder, stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
