"""Rounds of no-op jobs while somebody holds a transaction open, so that nothing dead can be cleaned away."""

from __future__ import annotations

import asyncpg

from bench.installation import enqueue_noops, worker
from bench.waiting import until

JOBS = 20_000
ROUNDS = 6
_LEAD_SECONDS = 3.0


async def snapshot(url: str) -> None:
    """Print each round's jobs/s, and the last as a share of the first."""
    connection, holder = await asyncpg.connect(url), await asyncpg.connect(url)
    with worker(url, slots=100):
        await enqueue_noops(connection, JOBS)
        await until(connection, "select not exists (select from esteira.job_live)")
        async with holder.transaction(isolation="repeatable_read"):
            await holder.fetchval("select pg_current_xact_id()")
            rates = [await _round(connection) for _ in range(ROUNDS)]
    await connection.close()
    await holder.close()
    listed = ", ".join(f"{rate:,.0f}" for rate in rates)
    print(f"{ROUNDS} rounds of {JOBS:,} no-op jobs under a held snapshot: {listed} jobs/s")
    print(f"  last / first {rates[-1] / rates[0]:.2f}")


async def _round(connection: asyncpg.Connection[asyncpg.Record]) -> float:
    since = await connection.fetchval("select clock_timestamp()")
    # All become ready at once, after the last is enqueued: the round measures the draining alone.
    await enqueue_noops(connection, JOBS, _LEAD_SECONDS)
    await until(connection, "select not exists (select from esteira.job_live)")
    return float(
        await connection.fetchval(
            "select count(*) / extract(epoch from max(finished_at) - min(ready_at))"
            " from esteira.job_finished where created_at >= $1",
            since,
        )
    )
