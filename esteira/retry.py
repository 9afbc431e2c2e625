"""How often and how fast a task, or a step, is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from esteira.durations import Duration, to_timedelta
from esteira.errors import ConfigurationError


@dataclass(frozen=True, init=False)
class Retry:
    """Say how failures are tried again: exponential backoff with full jitter.

    attempts: failures that end it, 1 or more. first, max: the backoff after the first failure, and the longest one.
    never_on: exceptions that no further attempt can mend; they end it at once. Raises ConfigurationError.
    """

    attempts: int
    first: timedelta
    max: timedelta
    never_on: tuple[type[BaseException], ...]

    def __init__(
        self,
        attempts: int = 3,
        first: Duration = "5s",
        max: Duration = "1h",  # noqa: A002 - the word that reads right where it is used: Retry(max="5m")
        never_on: tuple[type[BaseException], ...] = (),
    ) -> None:
        _set(self, attempts=_checked(attempts), first=to_timedelta(first), max=to_timedelta(max))
        _check_order(self.first, self.max)
        _set(self, never_on=_exceptions(never_on))


@dataclass(frozen=True, init=False)
class RetryChange:
    """What one job changes of its task's retry; None keeps what the task declares. Raises ConfigurationError."""

    attempts: int | None
    first: timedelta | None
    max: timedelta | None

    def __init__(
        self,
        attempts: int | None = None,
        first: Duration | None = None,
        max: Duration | None = None,  # noqa: A002 - as in Retry
    ) -> None:
        _set(
            self,
            attempts=None if attempts is None else _checked(attempts),
            first=None if first is None else to_timedelta(first),
            max=None if max is None else to_timedelta(max),
        )


def _set(frozen: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


def _checked(attempts: Any) -> int:
    if not isinstance(attempts, int) or attempts < 1:
        raise ConfigurationError(f"attempts={attempts!r} is to be a number; 1 is the least and means no retry")
    return attempts


def _check_order(first: timedelta, longest: timedelta) -> None:
    if first > longest:
        raise ConfigurationError(
            f"the first backoff ({first.total_seconds():g} s) is longer than the longest"
            f" ({longest.total_seconds():g} s): give both, as in Retry(first='2s', max='5m')"
        )


def _exceptions(given: Any) -> tuple[type[BaseException], ...]:
    kinds = given if isinstance(given, tuple | list | set | frozenset) else (given,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ConfigurationError(
                f"never_on={given!r}: {kind!r} is no exception's class: write the class itself, as in"
                " never_on=(ValueError,)"
            )
    return tuple(kinds)
