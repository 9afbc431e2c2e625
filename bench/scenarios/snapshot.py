"""Rounds while somebody holds a snapshot, so that nothing dead can be cleaned away and it piles up."""

from __future__ import annotations

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session


async def _round(session: Session, scale: Scale) -> list[Figure]:
    count = scale.jobs(session.system.pace)
    free = (await session.drain(count, scale.patience_seconds)).jobs_per_second
    holder = await session.place.another_connection()
    held = []
    async with holder.transaction(isolation="repeatable_read"):
        await holder.fetchval("select pg_current_xact_id()")
        for _ in range(scale.held_rounds):
            await session.many(count)
            held.append((await session.drain_enqueued(count, scale.patience_seconds)).jobs_per_second)
    await holder.close()
    return [
        Figure("free", free, "jobs/s", "more"),
        *(Figure(f"held, round {number}", rate, "jobs/s", "more") for number, rate in enumerate(held, 1)),
        Figure("last held / free", held[-1] / free, "share", "more"),
    ]


SCENARIO = Scenario("snapshot", "Held snapshot", _round, rounds="few")
