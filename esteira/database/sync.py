"""Plain (synchronous) access, for tasks that are plain functions: a psycopg pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool
from tenacity import Retrying

from esteira.database.patience import patiently
from esteira.database.pool import DEADLINE_SECONDS
from esteira.database.sqlstates import translated

SyncConnection = psycopg.Connection[TupleRow]


class SyncDatabase:
    """Hold a pool of psycopg connections, opened when first needed and shared by threads."""

    def __init__(self, url: str, *, session_name: str = "esteira", size: int = 10) -> None:
        self._pool = ConnectionPool(
            url,
            min_size=0,
            max_size=size,
            open=False,
            timeout=DEADLINE_SECONDS,
            kwargs={
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
        """Lend a connection for one transaction: committed when the block ends, rolled back when it raises."""
        with translated(network=False):
            self._pool.open()
            with self._pool.connection() as connection, connection.transaction():
                yield connection

    def fetchall(self, query: str, *args: object, patience: float = 0) -> list[TupleRow]:
        """Run one statement (placeholders are %s) in a transaction of its own and return its rows.

        patience: seconds for which it is sent again where the database is away; only for what may happen twice.
        """
        for attempt in Retrying(**patiently(patience)):
            with attempt, self.transaction() as connection:
                return connection.execute(query.encode(), args).fetchall()
        raise AssertionError("tenacity returns or raises")

    def fetchval(self, query: str, *args: object, patience: float = 0) -> Any:
        """Run one statement and return the first value of its first row."""
        rows = self.fetchall(query, *args, patience=patience)
        return rows[0][0] if rows else None
