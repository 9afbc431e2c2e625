"""Drain no-op jobs with one process and with two; what a job costs in processor time, WAL and commits."""

from __future__ import annotations

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session


async def _round(session: Session, scale: Scale) -> list[Figure]:
    count = scale.jobs(session.system.pace)
    one = await session.drain(count, scale.patience_seconds)
    two = await session.drain(count, scale.patience_seconds, processes=2)
    figures = [
        Figure("one process", one.jobs_per_second, "jobs/s", "more"),
        Figure("two processes", two.jobs_per_second, "jobs/s", "more"),
    ]
    if session.system.on_postgres:
        figures += [
            Figure("WAL", one.wal_bytes, "bytes/job", "less"),
            Figure("commits", one.commits, "/job", "less"),
        ]
    if session.system.handles:
        figures += [
            Figure("processor time of the worker", one.cpu_microseconds, "µs/job", "less"),
            Figure("memory of the worker after it", one.resident_mb, "MB", "less"),
        ]
    return figures


SCENARIO = Scenario("drain", "Drain of no-op jobs", _round)
