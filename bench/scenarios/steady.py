"""Jobs one by one at a fixed rate: from when a job was due to its handler's first line."""

from __future__ import annotations

from bench.measured import Figure, latencies
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session


async def _round(session: Session, scale: Scale) -> list[Figure]:
    async with session.working() as worker:
        await session.warm_up()
        await session.done(scale.patience_seconds, worker)
        count = int(scale.steady_rate * scale.steady_seconds)
        # Due, not called: where enqueueing itself falls behind, that is part of what a user waits for.
        due = (await session.paced(count, scale.steady_rate))["due"]
        began, _ = await session.done(scale.patience_seconds, worker)
    waited = [begin - moment for begin, moment in zip(began, due, strict=True)]
    return latencies(f"{scale.steady_rate:,.0f} jobs/s, ", waited)


SCENARIO = Scenario("steady", "Steady load", _round, rounds="few")
