"""What an SQLSTATE means to Esteira: the drivers' exceptions become ours, here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import psycopg

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
    PermissionDenied,
    SchemaMismatch,
    UniqueConflict,
    UnknownTask,
    UnknownWorker,
)
from esteira.rights import GRANT

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
# Text that is no JSON or no UTF-8, numbers out of range, values that must not be null, that a CHECK refuses, that are
# there already, or larger than Postgres can hold.
_BAD_DATA = ("22", "23502", "23505", "23514", "54")
# What whoever runs this has to mend, and how.
_MIGRATE = (SchemaMismatch, ": run `esteira migrate`")
_OPERATORS: dict[str, tuple[type[EsteiraError], str]] = {
    "42501": (PermissionDenied, f", for the account that is logged in to the database: {GRANT}"),
    "3F000": _MIGRATE,
    "42P01": _MIGRATE,
    "42883": _MIGRATE,
}
_TRANSIENT = ("40001", "40P01", "55P03")
# Cancelled: by a statement_timeout that the role has, or by somebody. The session lives on.
_CANCELLED = "57014"


def sqlstate_of(error: BaseException) -> str | None:
    """Return the five characters that Postgres gave, or None."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def is_transient(error: BaseException) -> bool:
    """Tell whether the very same statement may well succeed when it is sent again."""
    return sqlstate_of(error) in _TRANSIENT


def translate(error: BaseException) -> EsteiraError | None:
    """Return our exception for the driver's, or None where it is a bug and should show as what it is."""
    text = _first_line(error)
    state = sqlstate_of(error) or ""
    if state in OURS:
        return OURS[state](text)
    if is_lost_connection(error) or state == _CANCELLED or isinstance(error, OSError | TimeoutError):
        return DatabaseUnavailable(text)
    # What psycopg itself finds wrong with a value has no SQLSTATE; half a surrogate pair does not get that far.
    if state.startswith(_BAD_DATA) or (not state and isinstance(error, psycopg.DataError | UnicodeEncodeError)):
        return InvalidInput(text)
    if state in _OPERATORS:
        kind, action = _OPERATORS[state]
        return kind(f"{text}{action}")
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return ConfigurationError(f"{text}; write the database's URL as postgresql://user:password@host/database")
    return None


def is_read_only(error: BaseException) -> bool:
    """Tell whether a session can no longer write: it goes on at a server that was the primary before a failover."""
    return (
        sqlstate_of(error.__cause__ if isinstance(error, DatabaseUnavailable) and error.__cause__ else error) == "25006"
    )


def is_lost_connection(error: BaseException) -> bool:
    """Tell whether a driver's exception means that there is no connection, or no longer."""
    state = sqlstate_of(error)
    if state is not None:
        return state.startswith(_GONE)
    if isinstance(error, asyncpg.InterfaceError):
        # The class also says that a connection was used wrongly, which is a bug and should show as what it is.
        return any(words in str(error) for words in ("is closed", "is closing", "released back to the pool"))
    # asyncpg's internal error comes of a statement sent while the server's farewell to an idle session is being read,
    # psycopg's of a pooler that lost its server and so answers twice.
    return isinstance(error, psycopg.OperationalError | psycopg.InternalError | asyncpg.InternalClientError)


_DRIVERS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, psycopg.Error)
_FAILURES = (*_DRIVERS, OSError, TimeoutError, UnicodeEncodeError)


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
