"""kill -9 of an engine and of a whole worker with forty running jobs: when they run again; nothing lost or doubled."""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import asyncpg
import psutil

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.session import Session
from bench.waiting import until
from esteira import Client, NewJob

JOBS = 40
_RUNNING = "select count(*) = $1 from esteira.job_live where status = 'running' and attempt >= $2"


async def _round(session: Session, scale: Scale) -> list[Figure]:  # noqa: ARG001
    await session.place.run("create table if not exists public.effect (effect uuid not null)")
    engine = await _killed(session, whole=False)
    worker = await _killed(session, whole=True)
    return [
        Figure("an engine killed, until its jobs run again", engine, "s", "less"),
        Figure("a worker killed, until its jobs run again", worker, "s", "less"),
    ]


async def _killed(session: Session, *, whole: bool) -> float:
    connection = await session.place.connected()
    effects = [uuid4() for _ in range(JOBS)]
    async with AsyncExitStack() as stack:
        victim = (await stack.enter_async_context(session.working(slots=JOBS))).processes[0]
        async with Client(session.place.url) as client:
            ids = await client.enqueue_many(
                [NewJob("bench.hold", {"seconds": 2, "effect": effect}) for effect in effects]
            )
        await until(connection, _RUNNING, JOBS, 1)
        if whole:
            await stack.enter_async_context(session.working(slots=JOBS))
            await until(connection, "select count(*) = 2 from esteira.worker_status where state = 'alive'")
            os.killpg(victim.pid, signal.SIGKILL)
        else:
            for process in psutil.Process(victim.pid).children():
                process.kill()
        seconds = await until(connection, _RUNNING, JOBS, 2)
        await until(connection, "select not exists (select from esteira.job_live)")
    await _check(connection, ids, effects)
    return seconds


async def _check(connection: asyncpg.Connection[asyncpg.Record], ids: list[UUID], effects: list[UUID]) -> None:
    completed = await connection.fetchval(
        "select count(*) from esteira.job where id = any($1) and status = 'completed'", ids
    )
    left = await connection.fetch(
        "select effect, count(*) from public.effect where effect = any($1) group by effect", effects
    )
    if completed != JOBS or len(left) != JOBS or any(row["count"] != 1 for row in left):
        raise AssertionError(
            f"of {JOBS} jobs {completed} completed, {len(left)} left an effect: {[tuple(row) for row in left]}"
        )


SCENARIO = Scenario("recovery", "Recovery from kill -9", _round, rounds="few", alone=True, long=True)
