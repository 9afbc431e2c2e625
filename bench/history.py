"""A week of jobs that have ended, written by SQL: what lists are measured on."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

DAYS = 7
QUEUES = 20
TASKS = 50
DEAD = 20_000
LIVE = 5_000

# Every tenth job has a tag and metadata; four a day are of the rare task and have the rare tag. A worker lives for two
# hours.
_COLUMNS = (
    "id, queue, task, priority, status, reason, attempt, failures, engine, worker_id, created_at, updated_at, run_at,"
    " ready_at, started_at, finished_at, progress, tags, metadata, error, payload, result"
)
_ROWS = """
select
    (lpad(to_hex(floor(extract(epoch from created_at) * 1000)::bigint), 12, '0') || '7'
     || substr(md5(n::text || $1::text), 2, 3) || '8' || substr(md5($1::text || n::text), 2, 15))::uuid,
    'queue-' || n * 7 % {queues},
    case when rare then 'app.rare' else 'app.task-' || n * 31 % {tasks} end,
    1, {status}, {reason}, 1, {failures}, 0,
    md5('worker' || floor(extract(epoch from finished_at) / 7200)::text || n % 2)::uuid,
    created_at, finished_at, created_at, created_at, created_at + interval '100 ms', finished_at, 1,
    case when rare then '{{rare}}'::text[] when n % 10 = 0 then array['tag-' || n / 10 % 30] else '{{}}' end,
    case when n % 10 = 0 then jsonb_build_object('customer', 'c' || n / 10 % 5000, 'amount', n % 1000) else '{{}}' end,
    {error}, jsonb_build_object('order', n, 'note', repeat('x', 60)), {result}
from generate_series(1, $2::bigint) as n
cross join lateral (select
    $1::timestamptz + n * interval '24 h' / ($2 + 1) as finished_at,
    $1::timestamptz + n * interval '24 h' / ($2 + 1) - n % 60 * interval '1 s' as created_at,
    n % greatest($2 / 4, 1) = 1 as rare) as moments
"""
_NAMES = {"queues": QUEUES, "tasks": TASKS}
_FINISHED = f"insert into esteira.job_finished ({_COLUMNS})" + _ROWS.format(
    **_NAMES,
    status="case when n % 50 = 0 then 'cancelled' else 'completed' end",
    reason="case when n % 50 = 0 then 'cancelled' end",
    failures=0,
    error="null",
    result="case when n % 50 <> 0 then jsonb_build_object('ok', n) end",
)
_DEAD = f"insert into esteira.job_dead ({_COLUMNS})" + _ROWS.format(
    **_NAMES,
    status="'dead'",
    reason="'not_retryable'",
    failures=1,
    error="""'{"type": "ValueError", "message": "no", "attempt": 1, "at": "2026-01-01T00:00:00Z"}'""",
    result="null",
)
_LIVE = """
select count(*) from esteira.enqueue_many(
    array(select 'app.task-' || n % 50 from generate_series(1, $1) as n),
    queues => array(select 'queue-' || n % 20 from generate_series(1, $1) as n))
"""


async def fill(connection: asyncpg.Connection[asyncpg.Record], rows: int, live: int = LIVE) -> None:
    """Write so many finished jobs over the last seven days, dead letters beside them, and a few live jobs."""
    now = await connection.fetchval("select clock_timestamp()")
    await connection.execute(
        "select esteira.make_day($1::timestamptz - make_interval(days => ago)) from generate_series(0, $2) as ago",
        now,
        DAYS,
    )
    for ago in range(DAYS, 0, -1):
        day = now - timedelta(days=ago)
        await connection.execute(_FINISHED, day, rows // DAYS, timeout=900)
        await connection.execute(_DEAD, day, DEAD // DAYS)
    await connection.fetchval(_LIVE, live)
    await connection.execute("update esteira.job_live set ready_at = ready_at - interval '10 min'")
    await connection.execute("vacuum analyze", timeout=900)
