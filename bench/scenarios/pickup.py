"""How long an idle worker takes to begin: from before the enqueue call to the handler's first line, at odd moments.

Rounds of twenty seconds gave a peer medians from 2.6 to 4.2 ms, with whatever else the machine was doing: more of them,
and shorter.
"""

from __future__ import annotations

from bench.measured import Figure, latencies
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session

RATE = 25
JOBS = 100


async def _round(session: Session, scale: Scale) -> list[Figure]:
    async with session.working() as worker:
        await session.warm_up()
        await session.done(scale.patience_seconds, worker)
        called = (await session.paced(min(JOBS, scale.pickups), RATE, jitter=0.7))["called"]
        began, _ = await session.done(scale.patience_seconds, worker)
    return latencies("", [begin - call for begin, call in zip(began, called, strict=True)])


SCENARIO = Scenario("pickup", "Pickup by an idle worker", _round, rounds="several")
