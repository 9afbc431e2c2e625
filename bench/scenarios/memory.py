"""What an idle worker holds, all its processes together, after some jobs."""

from __future__ import annotations

import asyncio

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session

WARM_UP = 100


async def _round(session: Session, scale: Scale) -> list[Figure]:
    async with session.working() as worker:
        await session.many(WARM_UP)
        await session.done(scale.patience_seconds, worker)
        await asyncio.sleep(scale.idle_seconds)
        memory = worker.memory()
    return [
        Figure("resident", memory.resident_mb, "MB", "less"),
        Figure("private", memory.private_mb, "MB", "less"),
        Figure("largest process, resident", memory.largest_mb, "MB", "less"),
    ]


SCENARIO = Scenario("memory", "Memory of an idle worker", _round, rounds="few")
