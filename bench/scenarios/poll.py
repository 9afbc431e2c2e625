"""An idle worker that no notification reaches: from the commit of a job to its handler's first line."""

from __future__ import annotations

import asyncio
import json
import random
import time

from bench.measured import Figure, latencies
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import POLL_SECONDS, Session

JOBS_SHARE = 0.4
_ENQUEUE = "select esteira.enqueue('bench.job', $1::text::jsonb, notify => false)"


async def _round(session: Session, scale: Scale) -> list[Figure]:
    connection = await session.place.connected()
    waited = []
    async with session.working():
        for number in range(int(scale.pickups * JOBS_SHARE)):
            # One after the other, since a worker that has found one looks again soon.
            await asyncio.sleep(random.uniform(0.5, 1.5))
            await connection.fetchval(_ENQUEUE, json.dumps({"n": number, "ms": 0, "pad": ""}))
            committed = time.monotonic()
            while session.ledger.count() <= number:
                await asyncio.sleep(POLL_SECONDS)
            waited.append(session.ledger.read()[-1][1] - committed)
    session.ledger.clear()
    return latencies("", waited)


SCENARIO = Scenario("poll", "Pickup where no wake-up comes", _round, rounds="once", alone=True, long=True)
