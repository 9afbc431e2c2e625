"""How long an idle worker takes to begin a job: from the moment of its enqueueing to the handler's first line."""

from __future__ import annotations

import asyncio
import random
import statistics

import asyncpg

from bench.installation import worker
from bench.waiting import until
from esteira import Client

JOBS = 300


async def pickup(url: str) -> None:
    """Print the percentiles in milliseconds."""
    connection = await asyncpg.connect(url)
    with worker(url, slots=10):
        async with Client(url) as client:
            await (await client.enqueue("bench.stamp")).result(timeout=30)
            latencies = []
            for _ in range(JOBS):
                # Not in step with anything that the worker does by the clock.
                await asyncio.sleep(random.uniform(0.02, 0.06))
                handle = await client.enqueue("bench.stamp")
                began = await handle.result(timeout=30)
                job = await handle.job()
                latencies.append((began - job.created_at.timestamp()) * 1000)
    await until(connection, "select not exists (select from esteira.job_live)")
    await connection.close()
    cuts = statistics.quantiles(latencies, n=100)
    print(f"pickup by an idle worker, {JOBS} jobs: p50 {cuts[49]:.1f} ms, p90 {cuts[89]:.1f} ms, p99 {cuts[98]:.1f} ms")
