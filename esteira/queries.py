"""Reads over the views: those with filters are composed with SQLAlchemy Core and run by the asyncpg pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import ColumnElement, Select, TableClause, and_, any_, cast, column, func, or_, select, table, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import Text

from esteira.encoding import encode
from esteira.job import FINAL

Sort = Literal["created_at", "-created_at", "finished_at", "-finished_at"]

JOB_COLUMNS = (
    "id", "queue", "task", "priority", "status", "reason", "progress", "progress_message", "current_step",
    "attempt", "failures", "max_attempts", "crashes", "generation", "metadata", "tags", "error", "result_error",
    "unique_key", "worker_id", "timeout_seconds", "created_at", "updated_at", "run_at", "expires_at", "started_at",
    "finished_at", "cancel_requested_at", "run_time",
)  # fmt: skip
BODIES = ("payload", "result")
_view = table("jobs", *map(column, (*JOB_COLUMNS, *BODIES)), schema="esteira")
# Where nothing is shown but ids or a number, the joins of the view are not needed.
_table = table("job", *map(column, JOB_COLUMNS), schema="esteira")
_stuck = table("stuck", column("id"), schema="esteira")


@dataclass(frozen=True)
class JobFilter:
    """Say which jobs; None means any.

    tags: jobs that have all of these. metadata: jobs whose metadata has all of these; a text is also found where the
    metadata has the number or the boolean that it reads as.
    The times are aware; `after` is included, `before` is not.
    """

    status: Sequence[str] | None = None
    queue: str | None = None
    task: str | None = None
    tags: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    worker: UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    stuck: bool = False

    def within(self, statuses: Sequence[str]) -> JobFilter:
        """Return the same filter, narrowed to these statuses."""
        return replace(self, status=[status for status in statuses if self.status is None or status in self.status])


@dataclass(frozen=True)
class Page:
    """Say which of the jobs that a filter finds, in which order.

    sort: by creation, or by the end (then of ended jobs only); "-" means the latest first. after: (sort key, id) of the
    job before the page, the sort key None where it is the creation. bodies: "payload", "result".
    """

    sort: Sort = "-created_at"
    after: tuple[datetime | None, UUID] | None = None
    limit: int = 50
    offset: int = 0
    bodies: Sequence[str] = ()


def jobs(wanted: JobFilter, page: Page) -> Select[tuple[Any, ...]]:
    """Select a page of jobs."""
    by_end = page.sort.endswith("finished_at")
    if by_end:
        wanted = wanted.within(tuple(sorted(FINAL)))
    # Ids sort by time of creation.
    names = ("finished_at", "id") if by_end else ("id",)
    latest_first = page.sort.startswith("-")
    ids = job_ids(wanted)
    if page.after is not None:
        place = tuple_(*(_table.c[name] for name in names))
        given = tuple_(*page.after[-len(names) :])
        ids = ids.where(place < given if latest_first else place > given)
        if by_end:
            # Said again so that the days on the other side stay unread.
            end = _table.c.finished_at
            ids = ids.where(end <= page.after[0] if latest_first else end >= page.after[0])
    ids = ids.order_by(*_ordered(_table, names, latest_first=latest_first)).limit(page.limit).offset(page.offset)
    # The view looks at the clock, so no order and no limit reaches the tables through it: first the page's ids.
    columns = [_view.c[name] for name in (*JOB_COLUMNS, *page.bodies)]
    query = select(*columns).where(_view.c.id == any_(func.array(ids.scalar_subquery())))
    return query.order_by(*_ordered(_view, names, latest_first=latest_first))


def _ordered(jobs: TableClause, names: Sequence[str], *, latest_first: bool) -> list[ColumnElement[Any]]:
    return [jobs.c[name].desc() if latest_first else jobs.c[name].asc() for name in names]


def job_ids(wanted: JobFilter) -> Select[tuple[UUID]]:
    """Select the ids of jobs, in no order."""
    return select(_table.c.id).where(*_conditions(wanted))


def oldest_ids(wanted: JobFilter, limit: int) -> Select[tuple[UUID]]:
    """Select the ids of at most so many jobs, the oldest first."""
    return job_ids(wanted).order_by(_table.c.id).limit(limit)


def count(wanted: JobFilter) -> Select[Any]:
    """Count jobs: all that the filter finds are read."""
    return select(func.count()).select_from(_table).where(*_conditions(wanted))


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    jobs = _table
    if wanted.stuck:
        wanted = wanted.within(("queued", "running"))
    conditions: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        conditions.append(jobs.c.status.in_(wanted.status))
    for name, value in (("queue", wanted.queue), ("task", wanted.task), ("worker_id", wanted.worker)):
        if value is not None:
            conditions.append(jobs.c[name] == value)
    if wanted.tags:
        # The second half says again what the first implies: so the planner sees that a partial index will do.
        conditions.append(jobs.c.tags.op("@>")(cast(list(wanted.tags), ARRAY(Text))))
        conditions.append(jobs.c.tags != cast([], ARRAY(Text)))
    conditions.extend(_has(name, value) for name, value in (wanted.metadata or {}).items())
    conditions.extend(_times(wanted))
    if wanted.stuck:
        conditions.append(jobs.c.id.in_(select(_stuck.c.id)))
    return conditions


def _times(wanted: JobFilter) -> Iterator[ColumnElement[bool]]:
    for name in ("created", "finished"):
        after, before = getattr(wanted, f"{name}_after"), getattr(wanted, f"{name}_before")
        if after is not None:
            yield _table.c[f"{name}_at"] >= after
        if before is not None:
            yield _table.c[f"{name}_at"] < before
    # Thus a time of creation is a range of the primary key.
    if wanted.created_after is not None:
        yield _table.c.id >= func.esteira.id_from(wanted.created_after)
    if wanted.created_before is not None:
        yield _table.c.id < func.esteira.id_until(wanted.created_before)


def _has(name: str, value: Any) -> ColumnElement[bool]:
    values = [value]
    if isinstance(value, str):
        with suppress(ValueError):
            values.append(from_json(value, allow_inf_nan=False))
    found = or_(*(_table.c.metadata.op("@>")(_json({name: value})) for value in values))
    return and_(found, _table.c.metadata != _json({}))


def _json(value: Any) -> ColumnElement[Any]:
    return cast(cast(encode(value), Text), JSONB)


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
