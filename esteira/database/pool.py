"""Asynchronous access: an asyncpg pool whose connections are named, kept alive and bounded by a deadline."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg
from pydantic_core import from_json
from tenacity import AsyncRetrying

from esteira.database.composed import compiled
from esteira.database.patience import is_worth_another_try, patiently
from esteira.database.pooler import is_pooled, refuses_settings
from esteira.database.sqlstates import connection_lost, is_read_only, translated
from esteira.errors import DatabaseUnavailable

Record = asyncpg.Record
if TYPE_CHECKING:
    from sqlalchemy import Select

    # asyncpg's classes are generic to type checkers only.
    BaseConnection = asyncpg.Connection[Record]
    PooledConnection = asyncpg.pool.PoolConnectionProxy[Record]
    Connection = BaseConnection | PooledConnection
    Pool = asyncpg.Pool[Record]
else:
    Connection = BaseConnection = asyncpg.Connection
    Pool = asyncpg.Pool

DEADLINE_SECONDS = 30.0
# How long a statement that took too long, or is no longer wanted, is waited for once the server was asked to cancel it.
# On a link that has fallen silent no answer comes to that either: without a bound a deadline would last twice as long.
_CANCEL_SECONDS = 1.0
# Enough for a producer: one for its jobs, one for the notifications in between. While they took the same one from each
# other, a job enqueued alone took 590 µs instead of 450.
_KEPT = 2
# What may last in a session beyond a transaction, but for prepared statements, which the drivers keep account of.
CLEAN = """
reset session authorization; reset all; close all; unlisten *;
select pg_advisory_unlock_all(); discard temp; discard sequences
"""
_CLEAN_SECONDS = 5.0


class Database:
    """Hold a pool of connections to one Postgres, opened when first needed.

    session_name: the sessions' application_name; a worker's are esteira/<worker>/<engine>: a rescuer ends them by it.
    settings: further settings of the sessions.
    pooled: whether a connection pooler stands in front of Postgres, once a connection was made. Behind one nothing is
    kept in a session: no settings, since it refuses them, and no prepared statements.
    A pool belongs to its event loop: in another loop (a second asyncio.run) a new one is opened.
    """

    def __init__(
        self, url: str, *, session_name: str = "esteira", size: int = 10, settings: Mapping[str, str] | None = None
    ) -> None:
        self.url = url
        self.session_name = session_name
        self.pooled: bool | None = None
        self._size = size
        self._settings = settings or {}
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        # Lent by the pool and kept for the next statements. Nobody waits for the pool while there is one.
        self._kept: list[PooledConnection] = []
        # A statement that began before the last one does not keep its connection.
        self._failovers = 0
        self._waiting = 0

    async def close(self) -> None:
        """Close the pool; connections in use are given a moment."""
        pool, self._pool = self._pool, None
        kept, self._kept = self._kept, []
        if pool is None or self._loop is not asyncio.get_running_loop():
            return
        try:
            async with asyncio.timeout(5):
                for connection in kept:
                    await pool.release(connection)
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def connect(self) -> BaseConnection:
        """Open a connection of its own, apart from the pool; the caller closes it."""
        with translated():
            return await self._connect(command_timeout=DEADLINE_SECONDS)

    @asynccontextmanager
    async def acquire(self, *, patience: float = 0) -> AsyncIterator[Connection]:
        """Lend a connection of the pool, and leave no trace of what the block did to its session.

        patience: seconds for which one is asked for again where the database is away or has none left.
        Raises DatabaseUnavailable where there is none or it is lost; other errors of the block stay what they are.
        """
        with translated():
            pool = await self._open()
            async for attempt in AsyncRetrying(**patiently(patience)):
                with attempt:
                    connection = await self._take(pool)
        try:
            with connection_lost():
                yield connection
        except DatabaseUnavailable as error:
            await self._leave_read_only(pool, error)
            raise
        finally:
            if self.pooled:
                # The session that the block used is somebody else's by now.
                await pool.release(connection)
            else:
                await _give_back(pool, connection)

    async def fetch(self, query: str | Select[Any], *args: object, patience: float = 0) -> list[Record]:
        """Run one statement in a transaction of its own and return its rows.

        patience: seconds for which it is sent again where the database is away; only for what may happen twice.
        Serialization failures and deadlocks are always sent again, since they stored nothing.
        """
        statement, parameters = compiled(query, args)
        try:
            return await self._fetch(statement, parameters)
        except Exception as error:
            with translated():
                if not is_worth_another_try(error, patience):
                    raise
                async for attempt in AsyncRetrying(**patiently(patience)):
                    with attempt:
                        return await self._fetch(statement, parameters)
        raise AssertionError("tenacity returns or raises")

    async def fetchrow(self, query: str | Select[Any], *args: object, patience: float = 0) -> Record | None:
        """Run one statement and return its first row."""
        rows = await self.fetch(query, *args, patience=patience)
        return rows[0] if rows else None

    async def fetchval(self, query: str | Select[Any], *args: object, patience: float = 0) -> Any:
        """Run one statement and return the first value of its first row."""
        row = await self.fetchrow(query, *args, patience=patience)
        return None if row is None else row[0]

    async def estimate(self, query: Select[Any], *, patience: float = 0) -> int:
        """Return how many rows the planner thinks that a query has."""
        statement, parameters = compiled(query, ())
        plan = await self.fetchval(f"explain (format json) {statement}", *parameters, patience=patience)
        return int(from_json(plan)[0]["Plan"]["Plan Rows"])

    async def _fetch(self, statement: str, parameters: Sequence[object]) -> list[Record]:
        pool = await self._open()
        failovers = self._failovers
        connection = await self._take(pool)
        try:
            rows = await connection.fetch(statement, *parameters, timeout=DEADLINE_SECONDS)
        except asyncpg.InternalClientError:
            # It would come back to the pool as if it were in order.
            connection.terminate()
            await pool.release(connection)
            raise
        except BaseException as error:
            await self._leave_read_only(pool, error)
            # Out of patience, the pool ends the connection by itself; what the caller has to hear is the error.
            with suppress(TimeoutError):
                await pool.release(connection, timeout=_CANCEL_SECONDS)
            raise
        if failovers != self._failovers or not self._keep(pool, connection):
            await pool.release(connection)
        return rows

    async def _take(self, pool: Pool) -> PooledConnection:
        """Return one that was kept, if it lives, else one of the pool."""
        while self._kept:
            kept = self._kept.pop()
            if _lives(kept):
                return kept
            await pool.release(kept)
        self._waiting += 1
        try:
            return await pool.acquire(timeout=DEADLINE_SECONDS)
        finally:
            self._waiting -= 1

    def _keep(self, pool: Pool, connection: PooledConnection) -> bool:
        """Keep it for the next statement, unless somebody waits: to give it back and take it again costs 60 µs."""
        if len(self._kept) == _KEPT or self._waiting or self._pool is not pool:
            return False
        self._kept.append(connection)
        return True

    async def _leave_read_only(self, pool: Pool, error: BaseException) -> None:
        """Use no connection again where one met a server that no longer takes writes: look for another server."""
        if is_read_only(error):
            self._failovers += 1
            await pool.expire_connections()
            while self._kept:
                # At once: whoever is cancelled while it gives them back would leave the rest to nobody.
                if _lives(kept := self._kept.pop()):
                    kept.terminate()

    async def _open(self) -> Pool:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._pool, self._opening = loop, None, asyncio.Lock()
            self._kept, self._waiting = [], 0
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=0, max_size=self._size, connect=self._connect, connection_class=_Connection
                )
            return self._pool

    async def _connect(self, *_: Any, **options: Any) -> BaseConnection:
        options = {**options, "timeout": 10, "connection_class": _Connection}
        connection = None if self.pooled else await self._connect_directly(options)
        if connection is None:
            name = {"application_name": self.session_name}
            connection = await asyncpg.connect(self.url, server_settings=name, statement_cache_size=0, **options)
        await _keep_alive(connection)
        return connection

    async def _connect_directly(self, options: Mapping[str, Any]) -> BaseConnection | None:
        """Open a connection with all settings; None where a pooler is in the way, which is remembered."""
        try:
            connection: BaseConnection = await asyncpg.connect(
                self.url, server_settings={**self._session(), **self._settings}, **options
            )
        except asyncpg.ProtocolViolationError as error:
            if not refuses_settings(error):
                raise
            self.pooled = True
            return None
        try:
            if self.pooled is None:
                self.pooled = await is_pooled(connection)
        except BaseException:
            # Cancelled meanwhile, for one: it would be nobody's.
            connection.terminate()
            raise
        if self.pooled:
            connection.terminate()
            return None
        return connection

    def _session(self) -> dict[str, str]:
        return {
            "application_name": self.session_name,
            # Compiling a claim costs more than running it.
            "jit": "off",
            # The server's side of a dead link: its locks go with it (the default is two hours).
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
        }


class _Connection(BaseConnection):
    def get_reset_query(self) -> str:
        """Save the round trip after each statement of ours, which leaves no state; `acquire` cleans up after others."""
        return ""


def _lives(connection: PooledConnection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool took it back when it was lost.
        return False


async def _give_back(pool: Pool, connection: PooledConnection) -> None:
    """Give a lent connection back clean, or end it; whatever happens here, what the block did stands."""
    clean = False
    try:
        with suppress(
            asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError
        ):
            await connection.execute(CLEAN, timeout=_CLEAN_SECONDS)
            clean = True
    finally:
        if not clean:
            # A connection that was lost has gone from the pool by itself, and says so.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
        await pool.release(connection)


async def _keep_alive(connection: Any) -> None:
    """Make the kernel notice a dead link within about ten seconds, on our side."""
    raw = connection._transport.get_extra_info("socket")  # noqa: SLF001 - asyncpg has no other way to its socket
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 10_000)):
        if hasattr(socket, option):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
