"""Plain (synchronous) access, for tasks that are plain functions: a psycopg pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool
from tenacity import Retrying

from esteira.database.patience import patiently
from esteira.database.pool import CLEAN, DEADLINE_SECONDS
from esteira.database.pooler import is_pooled_sync
from esteira.database.sqlstates import connection_lost, translated

SyncConnection = psycopg.Connection[TupleRow]


class SyncDatabase:
    """Hold a pool of psycopg connections, opened when first needed and shared by threads."""

    def __init__(self, url: str, *, session_name: str = "esteira", size: int = 10) -> None:
        self._pooled: bool | None = None
        self._pool = ConnectionPool(
            url,
            min_size=0,
            max_size=size,
            open=False,
            timeout=DEADLINE_SECONDS,
            # psycopg does not notice that an idle connection ended; the round trip is nothing beside a step.
            check=ConnectionPool.check_connection,
            configure=self._configure,
            kwargs={
                "autocommit": True,
                "application_name": session_name,
                "connect_timeout": 10,
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 10_000,
            },
        )

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()

    @contextmanager
    def transaction(self) -> Iterator[SyncConnection]:
        """Lend a connection for one transaction: committed when the block ends, rolled back when it raises.

        Raises DatabaseUnavailable where there is none or it is lost; other errors of the block stay what they are.
        """
        with self._connection() as connection, connection_lost():
            try:
                with connection.transaction():
                    yield connection
            finally:
                if not self._pooled:
                    _clean(connection)

    def fetchall(self, query: str, *args: object, patience: float = 0) -> list[TupleRow]:
        """Run one statement (placeholders are %s) in a transaction of its own and return its rows.

        patience: seconds for which it is sent again where the database is away; only for what may happen twice.
        """
        for attempt in Retrying(**patiently(patience)):
            with attempt, self._connection() as connection, translated():
                return connection.execute(query.encode(), args).fetchall()
        raise AssertionError("tenacity returns or raises")

    def fetchval(self, query: str, *args: object, patience: float = 0) -> Any:
        """Run one statement and return the first value of its first row."""
        rows = self.fetchall(query, *args, patience=patience)
        return rows[0][0] if rows else None

    def _configure(self, connection: SyncConnection) -> None:
        if self._pooled is None:
            self._pooled = is_pooled_sync(connection)
        if self._pooled:
            # No statement outlives its transaction behind a pooler, as in Database.
            connection.prepare_threshold = None

    @contextmanager
    def _connection(self) -> Iterator[SyncConnection]:
        with translated():
            self._pool.open()
            connection = self._pool.getconn()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)


def _clean(connection: SyncConnection) -> None:
    """Leave no trace of what a block did to its session, or end it; whatever happens here, what it did stands."""
    with suppress(psycopg.Error):
        connection.execute(CLEAN)
        return
    connection.close()
