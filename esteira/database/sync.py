"""Plain (synchronous) access: a psycopg pool that takes the statements of `Database`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool
from pydantic_core import from_json
from tenacity import Retrying

from esteira.database.callers import SyncRow, fetch_with_psycopg
from esteira.database.composed import compiled
from esteira.database.patience import patiently
from esteira.database.pool import CLEAN, DEADLINE_SECONDS
from esteira.database.pooler import is_pooled_sync
from esteira.database.sqlstates import connection_lost, is_read_only, translated

if TYPE_CHECKING:
    from sqlalchemy import Select

SyncConnection = psycopg.Connection[TupleRow]


class SyncDatabase:
    """Hold a pool of psycopg connections, opened when first needed and shared by threads.

    Its own statements are written as asyncpg takes them ($1, $2), and rows are dictionaries; the connections that it
    lends are psycopg's as they come.
    """

    def __init__(self, url: str, *, session_name: str = "esteira", size: int = 10) -> None:
        self.url = url
        self._session_name = session_name
        self._size = size
        self._pool: ConnectionPool[SyncConnection] | None = None
        self._opening = threading.Lock()
        self._pooled: bool | None = None

    def close(self) -> None:
        """Close the pool; connections in use are closed when they come back."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    @contextmanager
    def acquire(self, *, patience: float = 0) -> Iterator[SyncConnection]:
        """Lend a connection of the pool, and leave no trace of what the block did to its session.

        patience: seconds for which one is asked for again where the database is away or has none left.
        Raises DatabaseUnavailable where there is none or it is lost; other errors of the block stay what they are.
        """
        with self._connection(patience) as connection:
            try:
                with connection_lost():
                    yield connection
            finally:
                if not self._pooled:
                    _clean(connection)

    def fetch(self, query: str | Select[Any], *args: object, patience: float = 0) -> list[SyncRow]:
        """Run one statement in a transaction of its own and return its rows.

        patience: seconds for which it is sent again where the database is away; only for what may happen twice.
        Serialization failures and deadlocks are always sent again, since they stored nothing.
        """
        statement, parameters = compiled(query, args)
        for attempt in Retrying(**patiently(patience)):
            with attempt, self._connection() as connection, translated():
                return fetch_with_psycopg(connection, statement, parameters)
        raise AssertionError("tenacity returns or raises")

    def fetchrow(self, query: str | Select[Any], *args: object, patience: float = 0) -> SyncRow | None:
        """Run one statement and return its first row."""
        rows = self.fetch(query, *args, patience=patience)
        return rows[0] if rows else None

    def fetchval(self, query: str | Select[Any], *args: object, patience: float = 0) -> Any:
        """Run one statement and return the first value of its first row."""
        row = self.fetchrow(query, *args, patience=patience)
        return None if row is None else next(iter(row.values()))

    def estimate(self, query: Select[Any], *, patience: float = 0) -> int:
        """Return how many rows the planner thinks that a query has."""
        statement, parameters = compiled(query, ())
        plan = self.fetchval(f"explain (format json) {statement}", *parameters, patience=patience)
        return int(from_json(plan)[0]["Plan"]["Plan Rows"])

    def _configure(self, connection: SyncConnection) -> None:
        if self._pooled is None:
            self._pooled = is_pooled_sync(connection)
        if self._pooled:
            # No statement outlives its transaction behind a pooler, as in Database.
            connection.prepare_threshold = None

    @contextmanager
    def _connection(self, patience: float = 0) -> Iterator[SyncConnection]:
        with translated():
            for attempt in Retrying(**patiently(patience)):
                with attempt:
                    pool = self._open()
                    connection = pool.getconn()
        try:
            yield connection
        except Exception as error:
            if is_read_only(error):
                # Whoever is lent it next would meet the same server.
                connection.close()
            raise
        finally:
            pool.putconn(connection)

    def _open(self) -> ConnectionPool[SyncConnection]:
        with self._opening:
            if self._pool is None:
                # The pool would go on trying for its timeout and then not say why: no such host, a wrong password.
                with translated():
                    psycopg.connect(self.url, **self._options()).close()
                self._pool = ConnectionPool(
                    self.url,
                    min_size=0,
                    max_size=self._size,
                    open=True,
                    timeout=DEADLINE_SECONDS,
                    # psycopg does not notice that an idle connection ended; the round trip is nothing beside a step.
                    check=ConnectionPool.check_connection,
                    configure=self._configure,
                    kwargs=self._options(),
                )
            return self._pool

    def _options(self) -> dict[str, Any]:
        return {
            "autocommit": True,
            "application_name": self._session_name,
            "connect_timeout": 10,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        }


def _clean(connection: SyncConnection) -> None:
    """Leave no trace of what a block did to its session, or end it; whatever happens here, what it did stands."""
    with suppress(psycopg.Error):
        connection.execute(CLEAN)
        return
    connection.close()
