"""kill -9 of an engine and of a whole worker with forty running jobs: when do they run again, and what was lost."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack
from uuid import UUID, uuid4

import asyncpg
import psutil

from bench.installation import worker
from bench.waiting import until
from esteira import Client, NewJob

JOBS = 40
ROUNDS = 3
_RUNNING = "select count(*) = $1 from esteira.job_live where status = 'running' and attempt >= $2"


async def recovery(url: str) -> None:
    """Print the seconds of each round, and check that each job completed once with one effect."""
    connection = await asyncpg.connect(url)
    await connection.execute("create table if not exists public.effect (effect uuid not null)")
    for what, kill in (("an engine", _kill_engine), ("a whole worker", _kill_worker)):
        times = [await _round(connection, url, whole=kill is _kill_worker) for _ in range(ROUNDS)]
        listed = ", ".join(f"{seconds:.2f}" for seconds in times)
        print(f"kill -9 of {what} with {JOBS} running jobs: all run again after {listed} s")
        print(f"  completed {JOBS * ROUNDS}, lost 0, effects {JOBS * ROUNDS}, doubled 0")
    await connection.close()


async def _round(connection: asyncpg.Connection[asyncpg.Record], url: str, *, whole: bool) -> float:
    effects = [uuid4() for _ in range(JOBS)]
    with ExitStack() as stack:
        victim = stack.enter_context(worker(url, slots=JOBS))
        async with Client(url) as client:
            ids = await client.enqueue_many(
                [NewJob("bench.hold", {"seconds": 2, "effect": effect}) for effect in effects]
            )
        await until(connection, _RUNNING, JOBS, 1)
        if whole:
            stack.enter_context(worker(url, slots=JOBS))
            await until(connection, "select count(*) = 2 from esteira.worker_status where state = 'alive'")
            _kill_worker(victim)
        else:
            _kill_engine(victim)
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


def _kill_engine(victim: subprocess.Popen[bytes]) -> None:
    for process in psutil.Process(victim.pid).children():
        process.kill()


def _kill_worker(victim: subprocess.Popen[bytes]) -> None:
    os.killpg(victim.pid, signal.SIGKILL)
