"""Enqueue a thousand a call, by one client; nobody works."""

from __future__ import annotations

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session


async def _round(session: Session, scale: Scale) -> list[Figure]:
    many = max(1000, scale.jobs(session.system.pace) // 1000 * 1000)
    await session.warm_up()
    figures = [Figure("1,000 a call", many / await session.many(many), "jobs/s", "more")]
    # They are drained, which checks that they are there, and the next round meets what this one met.
    async with session.working() as worker:
        await session.done(scale.patience_seconds, worker)
    return figures


SCENARIO = Scenario("enqueue", "Enqueue", _round)
