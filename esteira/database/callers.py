"""Our statements on a connection of the caller's: whatever its driver, in the caller's own transaction.

Nothing of the connection is changed: not its row factory, its codecs, its prepared statements, its transaction.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg
import psycopg
from asyncpg.pool import PoolConnectionProxy
from psycopg.rows import dict_row
from psycopg.types.string import TextLoader
from psycopg.types.uuid import UUIDLoader

from esteira.database.sqlstates import translate, translated
from esteira.errors import DatabaseUnavailable, InvalidInput


class Row(Protocol):
    """A row, whatever its driver: values by the names of their columns."""

    def __getitem__(self, name: str, /) -> Any: ...


SyncRow = dict[str, Any]
if TYPE_CHECKING:
    from sqlalchemy import Connection as SQLAlchemyConnection
    from sqlalchemy import CursorResult, TextClause
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from esteira.database.pool import Connection

    CallersConnection = (
        Connection | psycopg.AsyncConnection[Any] | AsyncConnection | AsyncSession | async_scoped_session[Any]
    )
    SyncCallersConnection = psycopg.Connection[Any] | SQLAlchemyConnection | Session | scoped_session[Any]
else:
    CallersConnection = SyncCallersConnection = Any

_PLACEHOLDER = re.compile(r"\$(\d+)")


async def fetch_with(db: Any, statement: str, *args: object) -> Sequence[Row]:
    """Run one statement on the caller's connection and return its rows.

    Raises InvalidInput for anything but an asyncpg connection, a psycopg.AsyncConnection, or SQLAlchemy's
    AsyncConnection or AsyncSession.
    """
    with translated():
        if isinstance(db, asyncpg.Connection | PoolConnectionProxy):
            return await db.fetch(statement, *args)
        if isinstance(db, psycopg.AsyncConnection):
            async with psycopg.AsyncRawCursor(db, row_factory=dict_row) as cursor:
                _read_as_sent(cursor)
                await cursor.execute(statement.encode(), _arrays(args))
                return await cursor.fetchall() if cursor.description else []
        if _is(db, "sqlalchemy.ext.asyncio", "AsyncSession", "async_scoped_session"):
            with _translated_sqlalchemys():
                return _rows(await (await db.connection()).execute(_clause(statement), _named(args)))
        if _is(db, "sqlalchemy.ext.asyncio", "AsyncConnection"):
            with _translated_sqlalchemys():
                return _rows(await db.execute(_clause(statement), _named(args)))
    raise InvalidInput(
        f"db={db!r} cannot be enqueued with here: the asynchronous client takes an asyncpg connection, a"
        " psycopg.AsyncConnection, or an AsyncConnection or AsyncSession of SQLAlchemy"
    )


def sync_fetch_with(db: Any, statement: str, *args: object) -> Sequence[Row]:
    """Run one statement on the caller's connection and return its rows.

    Raises InvalidInput for anything but a psycopg.Connection, or SQLAlchemy's Connection or Session.
    """
    with translated():
        if isinstance(db, psycopg.Connection):
            return fetch_with_psycopg(db, statement, args)
        if _is(db, "sqlalchemy.orm", "Session", "scoped_session"):
            with _translated_sqlalchemys():
                return _rows(db.connection().execute(_clause(statement), _named(args)))
        if _is(db, "sqlalchemy", "Connection"):
            with _translated_sqlalchemys():
                return _rows(db.execute(_clause(statement), _named(args)))
    raise InvalidInput(
        f"db={db!r} cannot be enqueued with here: the synchronous client takes a psycopg.Connection, or a Connection"
        " or Session of SQLAlchemy"
    )


def fetch_with_psycopg(db: psycopg.Connection[Any], statement: str, args: Sequence[object]) -> list[SyncRow]:
    """Run one statement, written with $1, on a psycopg connection and return its rows; JSON is read as text."""
    with psycopg.RawCursor(db, row_factory=dict_row) as cursor:
        _read_as_sent(cursor)
        cursor.execute(statement.encode(), _arrays(args))
        return cursor.fetchall() if cursor.description else []


def _read_as_sent(cursor: psycopg.RawCursor[Any] | psycopg.AsyncRawCursor[Any]) -> None:
    """Read on this cursor as asyncpg does, whatever its connection was taught."""
    for kind in ("json", "jsonb"):
        cursor.adapters.register_loader(kind, TextLoader)
    cursor.adapters.register_loader("uuid", UUIDLoader)


def _arrays(args: Sequence[object]) -> list[object]:
    """Make lists of sets and tuples, of which psycopg would make records or nothing."""
    return [list(arg) if isinstance(arg, Collection) and not isinstance(arg, str | bytes) else arg for arg in args]


def _clause(statement: str) -> TextClause:
    from sqlalchemy import text

    # In parentheses: SQLAlchemy reads no parameter in `:p1::text`.
    return text(_PLACEHOLDER.sub(r"(:p\1)", statement))


def _named(args: Sequence[object]) -> dict[str, object]:
    return {f"p{number}": arg for number, arg in enumerate(_arrays(args), 1)}


@contextmanager
def _translated_sqlalchemys() -> Iterator[None]:
    """Look through SQLAlchemy, and through what it puts between itself and asyncpg, as `translated` does elsewhere."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        cause = (error.orig and error.orig.__cause__) or error.orig or error
        ours = DatabaseUnavailable(str(cause)) if error.connection_invalidated else translate(cause)
        if ours is None:
            raise
        raise ours from error


def _rows(result: CursorResult[Any]) -> Sequence[Row]:
    return result.mappings().all() if result.returns_rows else []


def _is(value: Any, module: str, *names: str) -> bool:
    """Tell whether it is of one of a module's classes, without importing what only its user needs."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, tuple(getattr(loaded, name) for name in names))
