"""What an SQLSTATE means to Esteira: the drivers' exceptions become ours, here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import psycopg

from esteira.errors import (
    DatabaseUnavailable,
    EsteiraError,
    IllegalTransition,
    InvalidInput,
    JobNotFound,
    SchemaMismatch,
)

_OURS: dict[str, type[EsteiraError]] = {"ES001": JobNotFound, "ES002": IllegalTransition, "ES004": InvalidInput}
# Connection lost, the server shutting down or starting, too many connections, read-only (a standby after a failover).
_GONE = ("08", "57P0", "53300", "25006")
# Text that is no JSON or no UTF-8, numbers out of range, values that a CHECK refuses.
_BAD_DATA = ("22", "23514")
_TRANSIENT = ("40001", "40P01", "55P03")


def sqlstate_of(error: BaseException) -> str | None:
    """Return the five characters that Postgres gave, or None."""
    return getattr(error, "sqlstate", None)


def is_transient(error: BaseException) -> bool:
    """Tell whether the very same statement may well succeed when it is sent again."""
    return sqlstate_of(error) in _TRANSIENT


def translate(error: BaseException) -> EsteiraError | None:
    """Return our exception for the driver's, or None where it is a bug and should show as what it is."""
    state = sqlstate_of(error)
    if state is None:
        unreachable = OSError | TimeoutError | asyncpg.InterfaceError | psycopg.OperationalError
        return DatabaseUnavailable(_first_line(error)) if isinstance(error, unreachable) else None
    if state in _OURS:
        return _OURS[state](_first_line(error))
    if state.startswith(_GONE):
        return DatabaseUnavailable(_first_line(error))
    if state.startswith(_BAD_DATA):
        return InvalidInput(_first_line(error))
    if state in ("3F000", "42P01", "42883"):
        return SchemaMismatch(f"{_first_line(error)}: run `esteira migrate`")
    return None


_DRIVERS = (asyncpg.PostgresError, asyncpg.InterfaceError, psycopg.Error)


@contextmanager
def translated(*, network: bool = True) -> Iterator[None]:
    """Turn the drivers' exceptions into Esteira's.

    network: also OSError and TimeoutError; not where the block runs somebody else's code, whose errors they may be.
    """
    try:
        yield
    except (*_DRIVERS, *((OSError, TimeoutError) if network else ())) as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
