"""Handlers that wait for 1, 10 and 100 ms, a hundred at once: at most 100,000, 10,000 and 1,000 jobs/s."""

from __future__ import annotations

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session
from bench.system import WAITING_SLOTS


async def _round(session: Session, scale: Scale) -> list[Figure]:
    figures = []
    for ms in scale.handler_ms:
        most = WAITING_SLOTS * 1000 / ms
        count = max(WAITING_SLOTS * 2, scale.jobs(min(session.system.pace, int(most))))
        drained = await session.drain(count, scale.patience_seconds, slots=WAITING_SLOTS, ms=ms)
        figures.append(Figure(f"{ms} ms", drained.jobs_per_second, "jobs/s", "more"))
    return figures


SCENARIO = Scenario("handlers", "Handlers that wait, 100 at once", _round, rounds="few")
