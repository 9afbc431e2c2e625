"""What an invariant is, and what it says when it does not hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from esteira.history.events import Life
from esteira.history.evidence import Effects, Evidence


class Breach(NamedTuple):
    """Where a history breaks a rule. number: of the row of the record that shows it, None where none does."""

    sentence: str
    number: int | None = None
    job_id: UUID | None = None
    worker_id: UUID | None = None


@dataclass(frozen=True)
class Terms:
    """Say what a history is held to.

    drained: nothing is left to do, so every job must have ended. lease: the workers', in ticks. slack: what is added to
    the bounds of Liveness. whole_ledger: every client writes to the ledger, so a job that it does not know is a
    phantom. since: when recording began. days: the partitions that there are.
    """

    since: datetime
    drained: bool = False
    lease: int = 6
    slack: timedelta = timedelta(seconds=1)
    has_ledger: bool = False
    whole_ledger: bool = True
    effects: Effects | None = None
    days: frozenset[date] = field(default_factory=frozenset)


class Invariant:
    """A rule: its docstring says it in one sentence.

    A check calls `begin` once, `life` for each job, and `end` once; each gives the breaches that it finds.
    """

    name = ""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    @classmethod
    def rule(cls) -> str:
        """Return the rule as people read it."""
        return (cls.__doc__ or "").partition("\n")[0].strip()

    def not_checked(self) -> str | None:
        """Say what is missing for a check; None: nothing."""
        return None

    async def begin(self, evidence: Evidence) -> None:
        """Read what has to be known before the first job."""

    def life(self, life: Life) -> Iterator[Breach]:  # noqa: ARG002 - most look at it
        """Look at one job's whole life."""
        yield from ()

    async def end(self, evidence: Evidence) -> AsyncIterator[Breach]:  # noqa: ARG002 - some look at it
        """Look at what no single job shows."""
        nothing: tuple[Breach, ...] = ()
        for breach in nothing:
            yield breach
