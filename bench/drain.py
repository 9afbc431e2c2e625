"""No-op jobs through one engine with results stored, as a share of the same claims and settles in pure SQL."""

from __future__ import annotations

import statistics

import asyncpg

from bench.installation import enqueue_noops, worker
from bench.waiting import until

JOBS = 50_000
ROUNDS = 3

# What an engine asks of the database, without an engine: batches of a thousand, one after the other, on one connection.
_RAW = """
do $$
declare
    floor_time timestamptz := '-infinity';
    floor_id uuid := '00000000-0000-0000-0000-000000000000';
    jobs uuid[];
    attempts integer[];
begin
    loop
        select array_agg(id order by ready_at, id), array_agg(attempt order by ready_at, id), max(ready_at)
        into jobs, attempts, floor_time
        from esteira.claim(
            '00000000-0000-7000-8000-000000000000', 1, 1000, '{bench.noop}',
            '{default,default,default,default}', '{3,2,1,0}',
            array_fill(floor_time, array[4]), array_fill(floor_id, array[4]))
        where id is not null;
        exit when jobs is null;
        floor_id := jobs[cardinality(jobs)];
        perform esteira.complete(jobs, attempts, array_fill('null'::jsonb, array[cardinality(jobs)]));
        commit;
    end loop;
end
$$
"""
_RATE = """
select count(*) / extract(epoch from max(finished_at) - min(started_at))
from esteira.job_finished where created_at >= $1 and task = 'bench.noop'
"""


async def drain(url: str) -> None:
    """Print jobs/s of both, and the share; rounds are interleaved since the machine's speed drifts."""
    connection = await asyncpg.connect(url)
    shares, engine, raw = [], [], []
    for _ in range(ROUNDS):
        raw.append(await _round(connection, None))
        engine.append(await _round(connection, url))
        shares.append(engine[-1] / raw[-1])
    await connection.close()
    print(f"drain of {JOBS:,} no-op jobs, results stored, one engine, median of {ROUNDS} interleaved rounds:")
    print(f"  engine {statistics.median(engine):>9,.0f} jobs/s   ({', '.join(f'{rate:,.0f}' for rate in engine)})")
    print(f"  raw SQL {statistics.median(raw):>8,.0f} jobs/s   ({', '.join(f'{rate:,.0f}' for rate in raw)})")
    print(f"  share {statistics.median(shares):.2f}")


async def _round(connection: asyncpg.Connection[asyncpg.Record], url: str | None) -> float:
    since = await connection.fetchval("select clock_timestamp()")
    await enqueue_noops(connection, JOBS)
    await connection.execute("vacuum analyze esteira.job_live")
    if url is None:
        await connection.execute(_RAW, timeout=300)
    else:
        with worker(url, slots=100):
            await until(connection, "select not exists (select from esteira.job_live)")
    return float(await connection.fetchval(_RATE, since))
