"""Reads over the views, as both clients send them."""

from __future__ import annotations

JOB_COLUMNS = (
    "id", "queue", "task", "priority", "status", "reason", "progress", "progress_message", "current_step",
    "attempt", "failures", "max_attempts", "crashes", "generation", "metadata", "tags", "error", "result_error",
    "unique_key", "worker_id", "timeout_seconds", "created_at", "updated_at", "run_at", "expires_at", "started_at",
    "finished_at", "cancel_requested_at", "run_time",
)  # fmt: skip
BODIES = ("payload", "result")

IS_STAMPED = "select to_regclass('esteira.alembic_version') is not null"
STAMP = "select max(version_num) from esteira.alembic_version"
_JOB_BY_IDS = "select {columns} from esteira.jobs where id = any($1)"
JOBS_BY_IDS = _JOB_BY_IDS.format(columns=", ".join((*JOB_COLUMNS, *BODIES)))
JOB_BY_ID = JOBS_BY_IDS.replace("any($1)", "$1")
# With the status in the text the planner leaves history aside: one index instead of one a day.
_LIVE = " and status in ('queued', 'running', 'waiting')"
LIVE_JOBS_BY_IDS = JOBS_BY_IDS + _LIVE
LIVE_JOBS_BY_IDS_WITHOUT_BODIES = _JOB_BY_IDS.format(columns=", ".join(JOB_COLUMNS)) + _LIVE
MISSING = "select esteira.missing($1)"
LIVE_IDS = "select id from esteira.job_live where id = any($1)"
DECLARED = "select name from esteira.task where name = any($1)"
# A row's xmin changes with whatever is written to it: only what is new need be read again.
DECLARATIONS = """
select name, queue, unique_fields is not null as is_unique, xmin::text as revision from esteira.task
"""
PAYLOAD_SCHEMAS = "select name, payload_schema from esteira.task where name = any($1)"
LIVING_WORKERS = "select queues, tasks from esteira.worker_status where state = 'alive'"
KEY_IS_KNOWN = """
select exists (
    select from esteira.idempotency_key where key = $1 and created_at > (select esteira.now()) - interval '24 h')
"""
UNSERVED_QUEUES = """
select ready.name from esteira.ready_queues() as ready (name)
where not exists (
    select from esteira.worker_status as worker
    where worker.state = 'alive' and (worker.queues is null or ready.name = any (worker.queues)))
order by ready.name
"""
STEPS = """
select name, attempt, result, started_at, finished_at,
       extract(epoch from finished_at - started_at)::float8 as duration_seconds
from esteira.step where job_id = $1 order by finished_at, name
"""
ATTEMPTS = """
select attempt, outcome, error, traceback, worker_id, started_at, finished_at
from esteira.attempt where job_id = $1 order by attempt
"""
QUEUES = """
select queue, ready, scheduled, running, waiting, dead, paused_at, oldest_ready_at,
       extract(epoch from oldest_ready_age)::float8 as oldest_ready_age_seconds, workers
from esteira.queue_stats
"""
QUEUE = f"{QUEUES} where queue = $1"
TASKS = """
select task, version, queue, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds, executor,
       steps, unique_fields, unique_on_conflict, payload_schema, declared_at, paused_at,
       ready, scheduled, running, waiting, dead, workers
from esteira.task_stats
"""
TASK = f"{TASKS} where task = $1"
TOTALS = """
select ready, scheduled, running, waiting, dead, finished_estimate, oldest_ready_at,
       extract(epoch from oldest_ready_age)::float8 as oldest_ready_age_seconds, workers, slots
from esteira.totals
"""
ENDED_LATELY = """
select extract(epoch from span)::float8 as seconds, completed, cancelled, dead from esteira.ended_lately order by span
"""
PAUSED_QUEUES = """
select queue.name from esteira.queue as queue
where queue.paused_at is not null
  and exists (
      select from esteira.job_live as job
      where job.queue = queue.name and job.status = 'queued'
        and job.ready_at <= (select esteira.now()))
order by queue.name
"""
WORKERS = """
select id, hostname, pid, version, state, queues, tasks, engines, slots, running, started_at, beat_at,
       extract(epoch from silent_for)::float8 as silent_for_seconds, ended_at
from esteira.worker_status order by started_at desc
"""
