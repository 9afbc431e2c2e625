"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class Violation:
    """The first breach of an invariant, how many there are, and the whole story of the job that it is about."""

    invariant: str
    rule: str
    sentence: str
    job_id: UUID | None
    number: int | None
    times: int
    story: Sequence[str]

    def __str__(self) -> str:
        about = f"job {self.job_id}: " if self.job_id else ""
        return "\n".join([f"{self.invariant}: {about}{self.sentence}", *(f"    {line}" for line in self.story)])


@dataclass(frozen=True)
class Report:
    """Say which invariants hold, which do not, and which could not be checked, and why."""

    since: datetime
    jobs: int
    transitions: int
    seconds: float
    checked: Sequence[str]
    not_checked: Mapping[str, str]
    # The first of each invariant, the earliest first.
    violations: Sequence[Violation]

    @property
    def violation(self) -> Violation | None:
        """The earliest violation; None: the history is in order."""
        return self.violations[0] if self.violations else None

    def counted(self) -> str:
        """Say how much was looked at."""
        jobs = f"{self.jobs:,} {'job' if self.jobs == 1 else 'jobs'}"
        return f"{jobs}, {self.transitions:,} changes since {self.since:%Y-%m-%d %H:%M:%SZ}"

    def __str__(self) -> str:
        lines = [self.counted()]
        lines += [str(violation) for violation in self.violations]
        broken = {violation.invariant for violation in self.violations}
        lines += [f"{name}: holds" for name in self.checked if name not in broken]
        lines += [f"{name}: not checked, {why}" for name, why in self.not_checked.items()]
        return "\n".join(lines)
