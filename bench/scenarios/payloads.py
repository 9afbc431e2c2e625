"""Payloads of several sizes: enqueued in bulk, then drained."""

from __future__ import annotations

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session

LEAST = 50


async def _round(session: Session, scale: Scale) -> list[Figure]:
    figures = []
    for size in scale.payload_bytes:
        count = max(LEAST, min(scale.jobs(session.system.pace), scale.payload_total_bytes // size))
        enqueued = count / await session.many(count, size=size)
        await session.place.run("vacuum analyze")
        drained = await session.drain_enqueued(count, scale.patience_seconds)
        figures += [
            Figure(f"{size:,} bytes, enqueue", enqueued, "jobs/s", "more"),
            Figure(f"{size:,} bytes, drain", drained.jobs_per_second, "jobs/s", "more"),
        ]
    return figures


SCENARIO = Scenario("payloads", "Payloads", _round, rounds="few")
