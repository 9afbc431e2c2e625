"""How often and how fast a task, or a step, is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from esteira.durations import Duration, to_timedelta
from esteira.errors import ConfigurationError


@dataclass(frozen=True, init=False)
class Retry:
    """Say how failures are tried again: exponential backoff with full jitter.

    attempts: failures that end it, 1 or more. first, max: the backoff after the first failure, and the longest one.
    never_on: exceptions that no further attempt can mend; they end it at once.
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
        if attempts < 1:
            raise ConfigurationError(f"Retry(attempts={attempts}): one attempt is the least; it means no retry")
        for name, value in (
            ("attempts", attempts),
            ("first", to_timedelta(first)),
            ("max", to_timedelta(max)),
            ("never_on", tuple(never_on)),
        ):
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class RetryChange:
    """What one job changes of its task's retry; None keeps what the task declares."""

    attempts: int | None = None
    first: timedelta | None = None
    max: timedelta | None = None
