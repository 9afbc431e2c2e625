"""What the indexes that lists need cost those who settle: claims and settles in pure SQL, with them and without."""

from __future__ import annotations

import statistics
import time
from typing import Any
from uuid import UUID

import asyncpg

JOBS = 10_000
ROUNDS = 9
WORKER = UUID(int=1)
_POLICY = (
    '"version": 1, "queue": "default", "priority": "normal", "max_attempts": 3, "retry_first_seconds": 5,'
    ' "retry_max_seconds": 60, "timeout_seconds": 600, "executor": "async", "steps": [], "payload_schema": {}'
)
_ENQUEUE = """
select count(*) from esteira.enqueue_many(
    array(select 'settle.' || n % 50 from generate_series(1, $1) as n),
    queues => array(select 'settle-' || n * 50 / $1 % 20 from generate_series(1, $1) as n))
"""
# A batch of 100 of one lane at a time, each claim from the floor that the one before left.
_DRAIN = """
do $$
declare
    floor_time timestamptz;
    floor_id uuid;
    ids uuid[];
    attempts integer[];
begin
    for lane in 0..19 loop
        floor_time := '-infinity'; floor_id := '00000000-0000-0000-0000-000000000000';
        loop
            select array_agg(job.id), array_agg(job.attempt), max(job.ready_at) into ids, attempts, floor_time
            from esteira.claim(
                '00000000-0000-0000-0000-000000000001', 0, 100,
                array(select 'settle.' || n from generate_series(0, 49) as n),
                array['settle-' || lane], array[1::smallint], array[floor_time], array[floor_id]) as job
            where job.id is not null;
            exit when ids is null;
            floor_id := (select id from unnest(ids) as id order by id desc limit 1);
            perform esteira.complete(ids, attempts, array_fill('{"ok": true}'::jsonb, array[cardinality(ids)]));
            commit;
        end loop;
    end loop;
end
$$
"""
_INDEXES = """
select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as made
from pg_index
where indrelid = to_regclass('esteira.job_finished_' || to_char(clock_timestamp() at time zone 'utc', 'YYYYMMDD'))
  and not indisprimary and pg_get_indexdef(indexrelid) !~ 'finished_at, queue'
"""


async def settle_share(connection: asyncpg.Connection[Any]) -> float:
    """Return the cost of a job without the indexes as a share of that with them, measured in turns."""
    declared = ", ".join(f'{{"name": "settle.{number}", {_POLICY}}}' for number in range(50))
    await connection.execute(
        "select esteira.register($1, 'bench', 1, '0', null, 1, 10, $2::jsonb)", WORKER, f"[{declared}]"
    )
    await connection.execute("delete from esteira.job_live")
    indexes = await connection.fetch(_INDEXES)
    rounds = []
    for _ in range(ROUNDS):
        with_them = await _round(connection)
        for index in indexes:
            await connection.execute(f"drop index {index['name']}")
        without = await _round(connection)
        for index in indexes:
            await connection.execute(index["made"])
        rounds.append((with_them, without))
    return statistics.median(without / with_them for with_them, without in rounds)


async def _round(connection: asyncpg.Connection[Any]) -> float:
    await connection.fetchval(_ENQUEUE, JOBS)
    await connection.execute("vacuum analyze esteira.job_live")
    await connection.execute("checkpoint")
    began = time.perf_counter()
    await connection.execute(_DRAIN, timeout=300)
    took = time.perf_counter() - began
    assert not await connection.fetchval("select exists (select from esteira.job_live)")
    return took / JOBS * 1e6
