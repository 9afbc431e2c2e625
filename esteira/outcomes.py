"""What a task may raise to say how its attempt ends. These are no errors."""

from __future__ import annotations

from datetime import timedelta

from esteira.durations import Duration, to_timedelta


class Outcome(Exception):
    """Stand at the root of the outcomes."""


class Snooze(Outcome):
    """Put the job back for a while; no failure is charged."""

    def __init__(self, delay: Duration) -> None:
        self.delay: timedelta = to_timedelta(delay)
        super().__init__(f"snoozed for {self.delay}")


class Fail(Outcome):
    """End the job for good: dead at once, whatever its retry policy says."""
