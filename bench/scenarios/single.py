"""Enqueue one by one, each durable before the next, by one client; nobody works.

A job takes a third of a millisecond, and a shared machine changes its pace by half within seconds: the systems take
turns every 100 jobs. With 500 three runs differed by 8 %.
"""

from __future__ import annotations

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session

JOBS = 100


async def _round(session: Session, scale: Scale) -> list[Figure]:  # noqa: ARG001
    await session.warm_up()
    return [Figure("jobs", JOBS / await session.single(JOBS), "jobs/s", "more")]


async def _end(session: Session, scale: Scale) -> list[Figure]:
    """Drain them, which checks that they are there."""
    async with session.working() as worker:
        await session.done(scale.patience_seconds, worker)
    return []


SCENARIO = Scenario("single", "Enqueue one by one", _round, rounds="brief", end=_end)
