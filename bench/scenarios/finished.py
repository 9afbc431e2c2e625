"""Drain with a long history of finished jobs, written by SQL where a system keeps one."""

from __future__ import annotations

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session


async def _round(session: Session, scale: Scale) -> list[Figure]:
    count = scale.jobs(session.system.pace)
    free = (await session.drain(count, scale.patience_seconds)).jobs_per_second
    await session.finish(scale.finished_jobs)
    after = (await session.drain(count, scale.patience_seconds)).jobs_per_second
    return [
        Figure(f"{scale.finished_jobs:,} of them", after, "jobs/s", "more"),
        Figure(f"{scale.finished_jobs:,} of them / none", after / free, "share", "more"),
    ]


SCENARIO = Scenario("finished", "Finished jobs", _round, rounds="once")
