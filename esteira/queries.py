"""Reads over the views, as both clients send them."""

from __future__ import annotations

JOB_COLUMNS = (
    "id", "queue", "task", "priority", "status", "reason", "progress", "progress_message", "current_step",
    "attempt", "failures", "max_attempts", "retry_first_seconds", "retry_max_seconds",
    "crashes", "generation", "metadata", "tags", "error", "result_error",
    "unique_key", "worker_id", "timeout_seconds", "created_at", "updated_at", "run_at", "expires_at", "started_at",
    "finished_at", "cancel_requested_at", "run_time",
)  # fmt: skip
BODIES = ("payload", "result")

IS_STAMPED = "select to_regclass('esteira.alembic_version') is not null"
STAMP = "select max(version_num) from esteira.alembic_version"
# What an account has to be able to call or read, by what it is for (esteira.rights).
RIGHTS = """
select
    current_user::text as account,
    coalesce(array_agg(needed.purpose order by needed.place) filter (where not needed.granted), '{}') as missing
from (
    select purpose, min(place) as place, bool_and(granted) as granted
    from (
        select purpose, place, case
            when kind = 'view' then has_table_privilege('esteira.' || name, 'select')
            else (select bool_and(has_function_privilege(verb.oid, 'execute'))
                  from pg_proc as verb
                  where verb.pronamespace = 'esteira'::regnamespace and verb.proname = name)
            end as granted
        from (values
            (1, 'read jobs', 'view', 'jobs'), (1, 'read jobs', 'view', 'queue_stats'),
            (2, 'enqueue', 'verb', 'enqueue_one'), (2, 'enqueue', 'verb', 'enqueue_many'),
            (3, 'cancel and retry', 'verb', 'cancel_many'), (3, 'cancel and retry', 'verb', 'retry_many'),
            (4, 'run jobs', 'verb', 'register'), (4, 'run jobs', 'verb', 'claim'), (4, 'run jobs', 'verb', 'complete'),
            (4, 'run jobs', 'verb', 'heartbeat'), (4, 'run jobs', 'verb', 'tick')
        ) as list (place, purpose, kind, name)
    ) as asked
    group by purpose
) as needed
"""
_JOB_BY_IDS = "select {columns} from esteira.jobs where id = any($1)"
JOBS_BY_IDS = _JOB_BY_IDS.format(columns=", ".join((*JOB_COLUMNS, *BODIES)))
JOB_BY_ID = JOBS_BY_IDS.replace("any($1)", "$1")
# With the status in the text the planner leaves history aside: one index instead of one a day.
_LIVE = " and status in ('queued', 'running', 'waiting')"
LIVE_JOBS_BY_IDS = JOBS_BY_IDS + _LIVE
LIVE_JOBS_BY_IDS_WITHOUT_BODIES = _JOB_BY_IDS.format(columns=", ".join(JOB_COLUMNS)) + _LIVE
# What one that was just enqueued has not got is not asked for, nor looked for in esteira.activity. (Not with the status
# "queued" alone: that takes the planner to the index of what is ready, all of it.)
NEW_COLUMNS = (
    "id", "queue", "task", "priority", "status", "attempt", "generation", "max_attempts", "retry_first_seconds",
    "retry_max_seconds", "timeout_seconds", "metadata", "tags", "unique_key", "created_at", "run_at", "expires_at",
)  # fmt: skip
NEW_JOBS_BY_IDS = _JOB_BY_IDS.format(columns=", ".join(NEW_COLUMNS)) + _LIVE
MISSING = "select esteira.missing($1)"
LIVE_IDS = "select id from esteira.job_live where id = any($1)"
DECLARED = "select name from esteira.task where name = any($1)"
# A row's xmin changes with whatever is written to it: only what is new need be read again.
DECLARATIONS = """
select name, queue, unique_fields is not null as is_unique, paused_at is not null as is_paused, xmin::text as revision
from esteira.task
"""
PAYLOAD_SCHEMAS = "select name, payload_schema from esteira.task where name = any($1)"
LIVING_WORKERS = "select queues, tasks from esteira.worker_status where state = 'alive'"
QUEUES_ON_PAUSE = "select name from esteira.queue where paused_at is not null"
KEY_IS_KNOWN = """
select exists (
    select from esteira.idempotency_key where key = $1 and created_at > (select esteira.now()) - interval '24 h')
"""
# Jobs whose on_conflict can mean nothing: they have no unique key and their task declares none. What an idempotency key
# answers is answered as before, however things are now.
WITHOUT_UNIQUE_KEY = """
select wanted.task
from unnest($1::text[], $2::text[]) as wanted (task, idempotency_key)
where not exists (select from esteira.task where name = wanted.task and unique_fields is not null)
  and not exists (
    select from esteira.idempotency_key
    where key = wanted.idempotency_key and created_at > (select esteira.now()) - interval '24 h')
"""
UNSERVED_QUEUES = """
select ready.name from esteira.ready_queues() as ready (name)
where not exists (
    select from esteira.worker_status as worker
    where worker.state = 'alive' and (worker.queues is null or ready.name = any (worker.queues)))
order by ready.name
"""
TROUBLED_WORKERS = """
select hostname, pid, trouble from esteira.worker_status
where state = 'alive' and trouble is not null order by started_at
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
       extract(epoch from oldest_ready_age)::float8 as oldest_ready_age_seconds, workers,
       extract(epoch from keep_finished)::float8 as keep_finished_seconds,
       extract(epoch from keep_dead)::float8 as keep_dead_seconds
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
# What nobody claims comes to stand in front of its lane, so a hundred jobs of each are looked at, not a million.
UNCLAIMED_TASKS = """
select ready.task, bool_or(task.paused_at is not null) as is_paused
from (
    select distinct lane.queue, job.task
    from (select queue, priority from esteira.ready_queues() as queue, generate_series(0, 3) as priority) as lane
    cross join lateral (
        select job.task from esteira.job_live as job
        where job.queue = lane.queue and job.priority = lane.priority and job.status = 'queued'
          and job.ready_at <= (select esteira.now())
        order by job.ready_at, job.id limit 100) as job
) as ready
left join esteira.task as task on task.name = ready.task
cross join lateral (
    select count(*) as there, count(*) filter (where ready.task = any (worker.tasks)) as able
    from esteira.worker_status as worker
    where worker.state = 'alive' and (worker.queues is null or ready.queue = any (worker.queues))
) as workers
where task.paused_at is not null or (workers.there > 0 and workers.able = 0)
group by ready.task order by ready.task
"""
WORKERS = """
select id, hostname, pid, version, state, queues, tasks, engines, slots, running, held_slots, stalled_engines,
       stalled_at, free_slots, trouble, started_at, beat_at,
       extract(epoch from silent_for)::float8 as silent_for_seconds, ended_at
from esteira.worker_status order by started_at desc
"""
