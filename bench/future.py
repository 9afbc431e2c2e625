"""Claims while a million jobs wait for their time: they stand behind now in the index, and are never visited."""

from __future__ import annotations

import statistics
import time
from uuid import UUID, uuid4

import asyncpg

FUTURE = 1_000_000
CLAIMS = 300

_CLAIM = """
select count(id) from esteira.claim(
    $1, 1, 100, array['bench.noop'], array_fill('default'::text, array[4]), array[3, 2, 1, 0]::smallint[],
    array_fill('-infinity'::timestamptz, array[4]), array_fill('00000000-0000-0000-0000-000000000000'::uuid, array[4]))
"""
_FILL = """
select count(*) from esteira.enqueue_many(
    array_fill('bench.noop'::text, array[10000]),
    delays => array(select make_interval(secs => 3600 + random() * 1e6) from generate_series(1, 10000)))
"""
_READY = "select count(*) from esteira.enqueue_many(array_fill('bench.noop'::text, array[100]))"
_DONE = "select count(*) from esteira.complete(array(select id from esteira.job_live where worker_id = $1), $2, $3)"


async def future(url: str) -> None:
    """Print the median and the 99th percentile of a claim of 100 jobs, and of one that finds nothing."""
    connection = await asyncpg.connect(url)
    before = await _claims(connection)
    for _ in range(FUTURE // 10_000):
        await connection.fetchval(_FILL)
    stale = await _claims(connection)
    await connection.execute("vacuum analyze")
    fresh = await _claims(connection)
    await connection.close()
    print(f"claim of 100 jobs / of none, ms, p50 and p99 of {CLAIMS}:")
    for name, (full, empty) in {
        "nothing else there": before,
        f"{FUTURE:,} future jobs, statistics stale": stale,
        f"{FUTURE:,} future jobs, statistics fresh": fresh,
    }.items():
        print(f"  {name:<42} {_percentiles(full)} / {_percentiles(empty)}")


async def _claims(connection: asyncpg.Connection[asyncpg.Record]) -> tuple[list[float], list[float]]:
    worker = uuid4()
    full, empty = [], []
    for _ in range(CLAIMS):
        await connection.fetchval(_READY)
        full.append(await _timed(connection, worker, 100))
        empty.append(await _timed(connection, worker, 0))
        await connection.fetchval(_DONE, worker, [1] * 100, [None] * 100)
    return full, empty


async def _timed(connection: asyncpg.Connection[asyncpg.Record], worker: UUID, expected: int) -> float:
    began = time.perf_counter()
    claimed = await connection.fetchval(_CLAIM, worker)
    took = (time.perf_counter() - began) * 1000
    if claimed != expected:
        raise RuntimeError(f"{claimed} jobs claimed instead of {expected}")
    return took


def _percentiles(times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    return f"{cuts[49]:.2f}, {cuts[98]:.2f}"
