"""Drain while many jobs wait for a time that is far away."""

from __future__ import annotations

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session

STEP = 50_000
DAY_SECONDS = 86_400


async def _round(session: Session, scale: Scale) -> list[Figure]:
    count = scale.jobs(session.system.pace)
    free = (await session.drain(count, scale.patience_seconds)).jobs_per_second
    for start in range(0, scale.future_jobs, STEP):
        await session.many(min(STEP, scale.future_jobs - start), delay=DAY_SECONDS)
    beside = (await session.drain(count, scale.patience_seconds)).jobs_per_second
    return [
        Figure(f"{scale.future_jobs:,} of them", beside, "jobs/s", "more"),
        Figure(f"{scale.future_jobs:,} of them / none", beside / free, "share", "more"),
    ]


SCENARIO = Scenario("future", "Future jobs", _round, rounds="once")
