"""Who is given up: No false loss."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from esteira.history.evidence import Evidence
from esteira.history.invariants.invariant import Breach, Invariant

WORKERS = """
select number, at, worker_id, operation, beats, missed_ticks, lost_at
from esteira_history.worker
where worker_id in (select worker_id from esteira_history.worker where lost_at is not null)
order by worker_id, number
"""
# As the tick counts: at most once a second, however many call it.
_TICK_SECONDS = 0.9


class NoFalseLoss(Invariant):
    """A worker is given up only after a lease of ticks, a second apart, of which none saw a beat."""

    name = "No false loss"

    async def end(self, evidence: Evidence) -> AsyncIterator[Breach]:
        """Count the silent ticks before each loss."""
        rows = await evidence.rows(WORKERS)
        for worker_id, events in groupby(rows, itemgetter("worker_id")):
            silent: list[datetime] = []
            before: Any = None
            for event in events:
                if before is not None and before["lost_at"] is None and event["lost_at"] is not None:
                    ticks = len(silent)
                    if ticks < self.terms.lease:
                        after = f"after {ticks} silent ticks; its lease is {self.terms.lease}"
                        yield Breach(f"worker {worker_id} was given up {after}", event["number"], worker_id=worker_id)
                elif before is None or event["beats"] != before["beats"]:
                    silent = []
                elif event["missed_ticks"] > before["missed_ticks"] and _apart(silent, event["at"]):
                    silent.append(event["at"])
                before = event


def _apart(ticks: list[datetime], at: datetime) -> bool:
    return not ticks or abs((at - ticks[-1]).total_seconds()) >= _TICK_SECONDS
