"""What an SQLSTATE means to Esteira: the drivers' exceptions become ours, here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import psycopg
from sqlalchemy.exc import DBAPIError

from esteira.errors import (
    Changed,
    ConfigurationError,
    DatabaseUnavailable,
    EsteiraError,
    IdempotencyMismatch,
    IllegalTransition,
    InvalidInput,
    JobGone,
    JobNotFound,
    KeyInFlight,
    SchemaMismatch,
    UniqueConflict,
    UnknownTask,
    UnknownWorker,
)

OURS: dict[str, type[EsteiraError]] = {
    "ES001": JobNotFound,
    "ES002": IllegalTransition,
    "ES003": UniqueConflict,
    "ES004": InvalidInput,
    "ES005": JobGone,
    "ES006": IdempotencyMismatch,
    "ES007": KeyInFlight,
    "ES008": Changed,
    "ES009": UnknownTask,
    "ES010": UnknownWorker,
}
# Connection lost, no login, no such database, the server shutting down or starting, out of its resources, a session
# ended for being idle or slow, read-only (a standby after a failover).
_GONE = ("08", "28", "3D000", "57P0", "53", "25P03", "25P04", "25006")
# Text that is no JSON or no UTF-8, numbers out of range, values that a CHECK refuses, that are there already, or larger
# than Postgres can hold.
_BAD_DATA = ("22", "23505", "23514", "54")
_TRANSIENT = ("40001", "40P01", "55P03")


def sqlstate_of(error: BaseException) -> str | None:
    """Return the five characters that Postgres gave, or None."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def is_transient(error: BaseException) -> bool:
    """Tell whether the very same statement may well succeed when it is sent again."""
    return sqlstate_of(error) in _TRANSIENT


def translate(error: BaseException) -> EsteiraError | None:
    """Return our exception for the driver's, or None where it is a bug and should show as what it is."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    error = _unwrapped(error)
    text = _first_line(error)
    state = sqlstate_of(error) or ""
    if state in OURS:
        return OURS[state](text)
    if lost or is_lost_connection(error) or isinstance(error, OSError | TimeoutError):
        return DatabaseUnavailable(text)
    # What psycopg itself finds wrong with a value has no SQLSTATE; half a surrogate pair does not get that far.
    if state.startswith(_BAD_DATA) or (not state and isinstance(error, psycopg.DataError | UnicodeEncodeError)):
        return InvalidInput(text)
    if state in ("3F000", "42P01", "42883"):
        return SchemaMismatch(f"{text}: run `esteira migrate`")
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return ConfigurationError(f"{text}; write the database's URL as postgresql://user:password@host/database")
    return None


def _unwrapped(error: BaseException) -> BaseException:
    """Look through SQLAlchemy, and through what it puts between itself and asyncpg."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def is_lost_connection(error: BaseException) -> bool:
    """Tell whether a driver's exception means that there is no connection, or no longer."""
    state = sqlstate_of(error)
    if state is not None:
        return state.startswith(_GONE)
    if isinstance(error, asyncpg.InterfaceError):
        # The class also says that a connection was used wrongly, which is a bug and should show as what it is.
        return any(words in str(error) for words in ("is closed", "is closing", "released back to the pool"))
    # asyncpg's internal error comes of a statement sent while the server's farewell to an idle session is being read.
    return isinstance(error, psycopg.OperationalError | asyncpg.InternalClientError)


_DRIVERS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, psycopg.Error)
_FAILURES = (*_DRIVERS, DBAPIError, OSError, TimeoutError, UnicodeEncodeError)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the drivers' exceptions of our own statements into Esteira's."""
    try:
        yield
    except _FAILURES as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error


@contextmanager
def connection_lost() -> Iterator[None]:
    """Turn a lost connection into DatabaseUnavailable around somebody else's statements; other errors are theirs."""
    try:
        yield
    except _DRIVERS as error:
        if is_lost_connection(error):
            raise DatabaseUnavailable(_first_line(error)) from error
        raise


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
