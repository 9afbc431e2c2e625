"""Reads over the views: those with filters are composed with SQLAlchemy Core and run by the asyncpg pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, column, select, table

JOB_COLUMNS = (
    "id", "queue", "task", "priority", "status", "reason", "progress", "progress_message", "current_step",
    "attempt", "failures", "max_attempts", "crashes", "generation", "metadata", "tags", "error", "result_error",
    "worker_id", "timeout_seconds", "created_at", "updated_at", "run_at", "started_at", "finished_at",
    "cancel_requested_at", "run_time",
)  # fmt: skip
_BODIES = ("payload", "result")
_jobs = table("jobs", *map(column, JOB_COLUMNS), schema="esteira")
_stuck = table("stuck_jobs", column("id"), schema="esteira")


@dataclass(frozen=True)
class JobFilter:
    """Say which jobs to list; None means any. `before`: an id, for the page that follows it (ids sort by age)."""

    status: Sequence[str] | None = None
    queue: str | None = None
    task: str | None = None
    stuck: bool = False
    before: UUID | None = None
    limit: int = 50


def jobs(wanted: JobFilter) -> Select[tuple[object, ...]]:
    """Select a page of jobs without payload and result, the newest first."""
    query = select(*_jobs.c)
    if wanted.status:
        query = query.where(_jobs.c.status.in_(wanted.status))
    if wanted.queue is not None:
        query = query.where(_jobs.c.queue == wanted.queue)
    if wanted.task is not None:
        query = query.where(_jobs.c.task == wanted.task)
    if wanted.stuck:
        query = query.where(_jobs.c.id.in_(select(_stuck.c.id)))
    if wanted.before is not None:
        query = query.where(_jobs.c.id < wanted.before)
    return query.order_by(_jobs.c.id.desc()).limit(wanted.limit)


IS_STAMPED = "select to_regclass('esteira.alembic_version') is not null"
STAMP = "select max(version_num) from esteira.alembic_version"
_JOB_BY_IDS = "select {columns} from esteira.jobs where id = any($1)"
JOBS_BY_IDS = _JOB_BY_IDS.format(columns=", ".join((*JOB_COLUMNS, *_BODIES)))
JOB_BY_ID = JOBS_BY_IDS.replace("any($1)", "$1")
# With the status in the text the planner leaves history aside: one index instead of one a day.
_LIVE = " and status in ('queued', 'running', 'waiting')"
LIVE_JOBS_BY_IDS = JOBS_BY_IDS + _LIVE
LIVE_JOBS_BY_IDS_WITHOUT_BODIES = _JOB_BY_IDS.format(columns=", ".join(JOB_COLUMNS)) + _LIVE
LIVE_IDS = "select id from esteira.job_live where id = any($1)"
DECLARED = "select name from esteira.task where name = any($1)"
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
select queue, ready, scheduled, running, waiting, dead, oldest_ready_at,
       extract(epoch from oldest_ready_age)::float8 as oldest_ready_age_seconds, workers
from esteira.queue_stats
"""
WORKERS = """
select id, hostname, pid, version, state, queues, tasks, engines, slots, running, started_at, beat_at,
       extract(epoch from silent_for)::float8 as silent_for_seconds, ended_at
from esteira.worker_status order by started_at desc
"""
