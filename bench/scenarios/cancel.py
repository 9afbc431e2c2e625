"""A running job is cancelled: from before the call to the moment at which its handler hears of it."""

from __future__ import annotations

import asyncio
import random
import time

from bench.measured import Figure, latencies
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import POLL_SECONDS, Session
from bench.waiting import until
from esteira import Client, NewJob

# Cancellations come with the heartbeats, once a second: the calls are spread over all moments between two.
SPREAD_SECONDS = 5.0
_RUNNING = "select count(*) = $1 from esteira.job_live where status = 'running'"


async def _round(session: Session, scale: Scale) -> list[Figure]:
    connection = await session.place.connected()
    called: dict[int, float] = {}
    async with session.working(slots=scale.pickups), Client(session.place.url) as client:
        ids = await client.enqueue_many([NewJob("bench.wait", {"n": number}) for number in range(scale.pickups)])
        await until(connection, _RUNNING, len(ids))

        async def cancel(number: int) -> None:
            await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))
            called[number] = time.monotonic()
            await client.cancel(ids[number])

        await asyncio.gather(*map(cancel, range(len(ids))))
        while session.ledger.count() < len(ids):
            await asyncio.sleep(POLL_SECONDS)
    heard = dict(session.ledger.read())
    session.ledger.clear()
    return latencies("", [heard[number] - moment for number, moment in called.items()])


SCENARIO = Scenario("cancel", "A cancellation reaches the handler", _round, rounds="few", alone=True, long=True)
