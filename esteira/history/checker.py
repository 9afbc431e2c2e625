"""The check: every invariant over everything that was recorded, in one snapshot."""

from __future__ import annotations

import os
import re
import time
from datetime import date, timedelta
from typing import NamedTuple

from esteira.database import Database
from esteira.history.evidence import Effects, Evidence, evidence
from esteira.history.invariants import INVARIANTS, Breach, Invariant, Terms
from esteira.history.recorder import BEGAN
from esteira.history.report import Report, Violation
from esteira.history.story import story, story_of_worker

DAYS = """
select inhrelid::regclass::text as name from pg_inherits where inhparent = 'esteira.job_finished'::regclass
"""
_DAY = re.compile(r"job_finished_(\d{4})(\d\d)(\d\d)$")


async def check(
    database: Database,
    *,
    ledger: str | os.PathLike[str] | None = None,
    whole_ledger: bool = True,
    effects: Effects | None = None,
    drained: bool = False,
    lease: int = 6,
    slack: timedelta = timedelta(seconds=1),
) -> Report:
    """Check what was recorded against every invariant, and return what was found.

    ledger: the file that clients and handlers wrote; whole_ledger: nobody enqueues who does not write to it. effects:
    the table that handlers write to in their transactions. drained: nothing is left to do, so every job must have
    ended. lease: the workers' lease_ticks. slack: added to the bounds of Liveness, for a machine that has much else to
    do. Nothing is changed, and others go on meanwhile. Raises ConfigurationError where nothing is recorded, or file or
    table are not there; InvalidInput for a line that is none of a ledger's.
    """
    began = time.monotonic()
    async with evidence(database, ledger, effects) as found:
        since = (await found.row(BEGAN))[0]
        terms = Terms(
            since=since,
            drained=drained,
            lease=lease,
            slack=slack,
            has_ledger=ledger is not None,
            whole_ledger=whole_ledger,
            effects=effects,
            days=await _days(found),
        )
        invariants = [invariant(terms) for invariant in INVARIANTS]
        for invariant in invariants:
            await invariant.begin(found)
        checked = [invariant for invariant in invariants if invariant.not_checked() is None]
        firsts, jobs, transitions = await _look(found, checked)
        return Report(
            since=since,
            jobs=jobs,
            transitions=transitions,
            checked=[invariant.name for invariant in checked],
            not_checked={
                invariant.name: why for invariant in invariants if (why := invariant.not_checked()) is not None
            },
            violations=[await _violation(found, first) for first in _sorted(firsts)],
            seconds=time.monotonic() - began,
        )


class _First(NamedTuple):
    """The earliest breach of an invariant so far, and how many there were."""

    invariant: Invariant
    breach: Breach
    times: int

    @property
    def number(self) -> float:
        return float("inf") if self.breach.number is None else self.breach.number


async def _look(found: Evidence, invariants: list[Invariant]) -> tuple[list[_First], int, int]:
    firsts: dict[str, _First] = {}

    def note(invariant: Invariant, breach: Breach) -> None:
        first = firsts.get(invariant.name)
        new = _First(invariant, breach, 1 if first is None else first.times + 1)
        keep = first is not None and first.number <= new.number
        firsts[invariant.name] = first._replace(times=new.times) if first is not None and keep else new

    jobs = transitions = 0
    async for life in found.lives():
        jobs += 1
        transitions += len(life.moves)
        for invariant in invariants:
            for breach in invariant.life(life):
                note(invariant, breach if breach.job_id else breach._replace(job_id=life.job_id))
    for invariant in invariants:
        async for breach in invariant.end(found):
            note(invariant, breach)
    return list(firsts.values()), jobs, transitions


def _sorted(firsts: list[_First]) -> list[_First]:
    order = [invariant.name for invariant in INVARIANTS]
    return sorted(firsts, key=lambda first: (first.number, order.index(first.invariant.name)))


async def _violation(found: Evidence, first: _First) -> Violation:
    invariant, breach, times = first
    told: list[str] = []
    if breach.job_id is not None:
        told = story(await found.life(breach.job_id))
    elif breach.worker_id is not None and breach.number is not None:
        told = list(await story_of_worker(found, breach.worker_id, breach.number))
    return Violation(
        invariant=invariant.name,
        rule=invariant.rule(),
        sentence=breach.sentence,
        job_id=breach.job_id,
        number=breach.number,
        times=times,
        story=told,
    )


async def _days(found: Evidence) -> frozenset[date]:
    names = [_DAY.search(row["name"]) for row in await found.rows(DAYS)]
    return frozenset(date(*map(int, name.groups())) for name in names if name)
