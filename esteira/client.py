"""The asynchronous client: each verb is one call of an SQL function."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Self, TypeVar, cast
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from esteira import queries
from esteira.database import Connection, Database, translated
from esteira.durations import Duration, to_timedelta
from esteira.encoding import decode, encode
from esteira.errors import InvalidInput, JobCancelled, JobFailed, JobNotFound, UnknownTask
from esteira.job import FINAL, Attempt, Explanation, Job, Priority, Step
from esteira.notifier import Notifier
from esteira.overview import DeclaredTask, Queue, Totals, Worker
from esteira.queries import JobFilter, Page
from esteira.retry import Retry, RetryChange
from esteira.schema import check_schema
from esteira.settings import read_settings

R = TypeVar("R")

# Reads may happen twice, so a short absence of the database (a restart, a failover) is waited out.
PATIENCE_SECONDS = 5.0
# As many jobs a bulk act takes at most, if nothing else is said.
MANY = 10_000
LIVE = ("queued", "running", "waiting")
OnConflict = Literal["return", "replace", "reject"]
Outcome = Literal["enqueued", "existing", "replaced", "replayed", "unique_conflict", "idempotency_mismatch"]

# JSON goes as text: the caller's connection may have a codec of its own for jsonb.
_ENQUEUE = """
select id, queue, outcome from esteira.enqueue_many(
    $1, $2::text[]::jsonb[], $3, $4, $5, $6, $7, $8, $9, $10, $11::text[]::jsonb[], $12::text[]::jsonb[], $13, $14, $15,
    $16, $17)
"""
_EDIT = "select esteira.edit($1, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb, $8)"
_NOTIFY = "select esteira.notify_workers($1)"
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. None means what its task declares, else Esteira's default.

    payload: anything that has a JSON form. delay: from now; run_at: an aware datetime; the later counts.
    expires_at: an aware datetime; not begun by then, the job is cancelled.
    unique_key: at most one live job of the task has it. on_conflict: what becomes of this one then: "return" (the live
    one is the answer), "replace" (the live one takes all of this over, unless it has begun), "reject".
    idempotency_key: the same request with it is answered with the same job for 24 h, another is refused.
    """

    task: str
    payload: Any = field(default_factory=dict)
    queue: str | None = None
    priority: Priority | None = None
    delay: Duration | None = None
    run_at: datetime | None = None
    retry: Retry | RetryChange | None = None
    timeout: Duration | None = None
    metadata: Mapping[str, Any] | None = None
    tags: Sequence[str] | None = None
    expires_at: datetime | None = None
    unique_key: str | None = None
    on_conflict: OnConflict | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        for name, time in (("run_at", self.run_at), ("expires_at", self.expires_at)):
            if time is not None and time.tzinfo is None:
                raise InvalidInput(f"{name} has no time zone: {time.isoformat()}")
        if isinstance(self.retry, Retry) and self.retry.never_on:
            raise InvalidInput("never_on belongs to the task's declaration; a job cannot change it")


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of a job that was to be enqueued.

    outcome: enqueued; existing, replaced (a live job has its unique key, and `id`); replayed (the idempotency key was
    used for the same before). Refused are unique_conflict and idempotency_mismatch, where `id` is the job in the way.
    """

    id: UUID
    outcome: Outcome

    @property
    def refused(self) -> bool:
        """Tell whether there is no such job."""
        return self.outcome in ("unique_conflict", "idempotency_mismatch")


@dataclass(frozen=True, slots=True)
class Acted:
    """What an act on many jobs did.

    matched: jobs that the filter found, and to which the act applies; changed: those that it changed; asked: running
    ones that were asked to stop; more: there are more than the limit.
    """

    matched: int
    changed: int = 0
    asked: int = 0
    more: bool = False


class Client:
    """Enqueue jobs and ask after them.

    Without arguments it reads ESTEIRA_DATABASE_URL. Use it as an asynchronous context manager, or call `close`.
    Methods raise DatabaseUnavailable where Postgres cannot be reached, and JobNotFound for an id that no job has.
    """

    def __init__(self, database_url: str | None = None, *, database: Database | None = None) -> None:
        self.database = database or Database(
            database_url or read_settings().require_database_url(), session_name="esteira-client"
        )
        self._notifier = Notifier(self.database)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Send the last notifications and close the connections."""
        try:
            await self._notifier.close()
        finally:
            await self.database.close()

    async def check_schema(self) -> None:
        """Raise SchemaMismatch, saying what to run, unless the database has the schema that this version speaks."""
        stamped = await self.database.fetchval(queries.IS_STAMPED, patience=PATIENCE_SECONDS)
        check_schema(await self.database.fetchval(queries.STAMP, patience=PATIENCE_SECONDS) if stamped else None)

    async def enqueue(
        self, task: str, payload: Any = None, *, db: Connection | None = None, **options: Any
    ) -> Handle[Any]:
        """Enqueue one job; `options` are the fields of NewJob.

        db: an asyncpg connection; the job then exists if and only if the caller's transaction on it commits.
        Raises InvalidInput for what Postgres cannot store, UniqueConflict, IdempotencyMismatch, KeyInFlight.
        """
        new = NewJob(task, {} if payload is None else payload, **options)
        return Handle((await self.enqueue_many([new], db=db))[0], self, _ANYTHING)

    async def enqueue_many(self, jobs: Sequence[NewJob], *, db: Connection | None = None) -> list[UUID]:
        """Enqueue jobs in one statement: all or, where one is refused, none. Returns their ids in the same order."""
        return [job.id for job in await self._enqueue(jobs, db, atomic=True)]

    async def enqueue_each(self, jobs: Sequence[NewJob], *, db: Connection | None = None) -> list[Enqueued]:
        """Enqueue jobs in one statement, each for itself: one whose key is refused does not hinder the others.

        Raises InvalidInput where one cannot be stored, KeyInFlight; then none is.
        """
        return await self._enqueue(jobs, db, atomic=False)

    async def get(self, job_id: UUID) -> Job:
        """Return the job as it is now, with payload and result."""
        row = await self.database.fetchrow(queries.JOB_BY_ID, job_id, patience=PATIENCE_SECONDS)
        if row is None:
            raise await self.missing(job_id)
        return Job.from_row(dict(row))

    async def get_many(self, job_ids: Collection[UUID], *, payloads: bool = True) -> dict[UUID, Job]:
        """Return these jobs as they are now; an id that no job has is left out.

        payloads: False leaves them out of the jobs that have not ended.
        """
        live = queries.LIVE_JOBS_BY_IDS if payloads else queries.LIVE_JOBS_BY_IDS_WITHOUT_BODIES
        rows = await self.database.fetch(live, job_ids, patience=PATIENCE_SECONDS)
        found = {row["id"]: Job.from_row(dict(row)) for row in rows}
        ended = [job_id for job_id in job_ids if job_id not in found]
        if ended:
            rows = await self.database.fetch(queries.JOBS_BY_IDS, ended, patience=PATIENCE_SECONDS)
            found.update((row["id"], Job.from_row(dict(row))) for row in rows)
        return found

    async def live(self, job_ids: Collection[UUID]) -> set[UUID]:
        """Return those of these ids whose jobs have not ended."""
        rows = await self.database.fetch(queries.LIVE_IDS, job_ids, patience=PATIENCE_SECONDS)
        return {row["id"] for row in rows}

    async def declared(self, tasks: Collection[str]) -> set[str]:
        """Return those of these tasks that a worker has ever declared."""
        rows = await self.database.fetch(queries.DECLARED, tasks, patience=PATIENCE_SECONDS)
        return {row["name"] for row in rows}

    async def unserved_queues(self) -> list[str]:
        """Return the queues that hold queued jobs, ready or scheduled, and that no living worker serves."""
        rows = await self.database.fetch(queries.UNSERVED_QUEUES, patience=PATIENCE_SECONDS)
        return [row["name"] for row in rows]

    async def missing(self, job_id: UUID) -> JobNotFound:
        """Return what there is to say of an id that no job has."""
        try:
            await self.database.fetch(queries.MISSING, job_id, patience=PATIENCE_SECONDS)
        except JobNotFound as error:
            return error
        raise AssertionError("esteira.missing raises")

    async def jobs(self, wanted: JobFilter | None = None, page: Page | None = None) -> list[Job]:
        """Return a page of jobs, by default the newest 50, without payloads and results."""
        query = queries.jobs(wanted or JobFilter(), page or Page())
        rows = await self.database.fetch(query, patience=PATIENCE_SECONDS)
        return [Job.from_row(dict(row)) for row in rows]

    async def count(self, wanted: JobFilter | None = None, *, estimate: bool = False) -> int:
        """Count jobs. An estimate is the planner's: quick where counting would read all of history."""
        wanted = wanted or JobFilter()
        if estimate:
            return await self.database.estimate(queries.job_ids(wanted), patience=PATIENCE_SECONDS)
        return int(await self.database.fetchval(queries.count(wanted), patience=PATIENCE_SECONDS))

    async def wait(self, job_id: UUID, *, timeout: Duration | None = None) -> Job:  # noqa: ASYNC109 - a deadline that answers
        """Return the job once it has ended, or as it is when `timeout` is over."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + to_timedelta(timeout).total_seconds()
        pause = 0.02
        while True:
            job = await self.get(job_id)
            left = None if deadline is None else deadline - loop.time()
            if job.status in FINAL or (left is not None and left <= 0):
                return job
            await asyncio.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, 1.0)

    async def cancel(self, job_id: UUID) -> Job:
        """Cancel a job that has not started, or ask a running one to stop; returns the job after it.

        Raises IllegalTransition where it has ended.
        """
        return await self._act("select esteira.cancel($1)", job_id)

    async def retry(self, job_id: UUID) -> Job:
        """Give a dead or cancelled job another life; returns the job after it.

        Raises IllegalTransition for any other.
        """
        job = await self._act("select esteira.retry($1)", job_id)
        self._notifier.notify([job.queue])
        return job

    async def edit(
        self,
        job_id: UUID,
        *,
        priority: Priority | None = None,
        queue: str | None = None,
        run_at: datetime | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        payload: Any = None,
        unchanged_since: datetime | None = None,
    ) -> Job:
        """Change what is given; returns the job after it.

        tags and metadata at any time; priority, queue and run_at before it runs; payload before its first attempt.
        unchanged_since: the job's updated_at as it was read. Raises IllegalTransition, Changed, InvalidInput.
        """
        values = (
            priority, queue, run_at, tags, None if metadata is None else encode(metadata),
            None if payload is None else encode(payload), unchanged_since,
        )  # fmt: skip
        await self.database.fetch(_EDIT, job_id, *values)
        job = await self.get(job_id)
        self._notifier.notify([job.queue])
        return job

    async def discard(self, job_id: UUID) -> None:
        """Remove a dead job for good. Raises IllegalTransition for any other."""
        await self.database.fetch("select esteira.discard($1)", job_id)

    async def cancel_many(self, wanted: JobFilter, *, limit: int = MANY, dry_run: bool = False) -> Acted:
        """Cancel those that have not started and ask the running ones to stop, the oldest first."""
        ids, acted = await self._chosen(wanted.within(LIVE), limit)
        if dry_run or not ids:
            return acted
        rows = await self.database.fetch("select status from esteira.cancel_many($1)", ids)
        asked = sum(row["status"] == "running" for row in rows)
        return replace(acted, changed=len(rows) - asked, asked=asked)

    async def retry_many(self, wanted: JobFilter, *, limit: int = MANY, dry_run: bool = False) -> Acted:
        """Give dead and cancelled jobs another life, the oldest first."""
        ids, acted = await self._chosen(wanted.within(("dead", "cancelled")), limit)
        if dry_run or not ids:
            return acted
        rows = await self.database.fetch("select queue from esteira.retry_many($1)", ids)
        self._notifier.notify({row["queue"] for row in rows})
        return replace(acted, changed=len(rows))

    async def discard_many(self, wanted: JobFilter, *, limit: int = MANY, dry_run: bool = False) -> Acted:
        """Remove dead jobs for good, the oldest first."""
        ids, acted = await self._chosen(wanted.within(("dead",)), limit)
        if dry_run or not ids:
            return acted
        return replace(acted, changed=len(await self.database.fetch("select esteira.discard_many($1)", ids)))

    async def _chosen(self, wanted: JobFilter, limit: int) -> tuple[list[UUID], Acted]:
        rows = await self.database.fetch(queries.oldest_ids(wanted, limit + 1), patience=PATIENCE_SECONDS)
        ids = [row["id"] for row in rows[:limit]]
        return ids, Acted(matched=len(ids), more=len(rows) > limit)

    async def explain(self, job_id: UUID) -> Explanation:
        """Say why the job is not running now, or what it is doing."""
        row = await self.database.fetchrow(
            "select code, detail from esteira.explain($1)", job_id, patience=PATIENCE_SECONDS
        )
        if row is None or row["code"] == "not_found":
            raise await self.missing(job_id)
        return Explanation(**row)

    async def steps(self, job_id: UUID) -> list[Step]:
        """Return the finished steps, in the order in which they finished."""
        rows = await self._parts(queries.STEPS, job_id)
        return [Step(**{**row, "result": decode(row["result"])}) for row in rows]

    async def attempts(self, job_id: UUID) -> list[Attempt]:
        """Return the attempts that did not complete."""
        rows = await self._parts(queries.ATTEMPTS, job_id)
        return [Attempt(**{**row, "error": decode(row["error"])}) for row in rows]

    async def queues(self) -> list[Queue]:
        """Return the queues by name."""
        return [Queue(**row) for row in await self.database.fetch(queries.QUEUES, patience=PATIENCE_SECONDS)]

    async def queue(self, name: str) -> Queue | None:
        """Return a queue; None where nothing is known of it."""
        row = await self.database.fetchrow(queries.QUEUE, name, patience=PATIENCE_SECONDS)
        return None if row is None else Queue(**row)

    async def pause(self, queue: str) -> datetime:
        """Let nothing of this queue be claimed from now on; returns since when it is so."""
        return cast(datetime, await self.database.fetchval("select esteira.pause($1)", queue))

    async def resume(self, queue: str) -> bool:
        """End the pause of a queue; False if it was not paused."""
        return cast(bool, await self.database.fetchval("select esteira.resume($1)", queue))

    async def purge(self, queue: str) -> int:
        """Cancel all jobs of a queue that do not run; returns how many."""
        purged = batch = await self.database.fetchval("select esteira.purge($1)", queue)
        while batch:
            batch = await self.database.fetchval("select esteira.purge($1)", queue)
            purged += batch
        return int(purged)

    async def tasks(self) -> list[DeclaredTask]:
        """Return the tasks that a worker ever declared, by name."""
        rows = await self.database.fetch(queries.TASKS, patience=PATIENCE_SECONDS)
        return [_declared_task(row) for row in rows]

    async def task(self, name: str) -> DeclaredTask:
        """Return a declared task. Raises UnknownTask."""
        row = await self.database.fetchrow(queries.TASK, name, patience=PATIENCE_SECONDS)
        if row is None:
            raise UnknownTask(f'no worker has declared the task "{name}"')
        return _declared_task(row)

    async def pause_task(self, name: str) -> datetime:
        """Let no job of this task be claimed from now on; returns since when it is so. Raises UnknownTask."""
        return cast(datetime, await self.database.fetchval("select esteira.pause_task($1)", name))

    async def resume_task(self, name: str) -> bool:
        """End the pause of a task; False if it was not paused. Raises UnknownTask."""
        return cast(bool, await self.database.fetchval("select esteira.resume_task($1)", name))

    async def workers(self) -> list[Worker]:
        """Return the workers of the last day, the youngest first."""
        return [Worker(**row) for row in await self.database.fetch(queries.WORKERS, patience=PATIENCE_SECONDS)]

    async def drain(self, worker_id: UUID) -> datetime:
        """Ask a worker to finish what it runs and to leave; returns since when it is asked. Raises UnknownWorker."""
        return cast(datetime, await self.database.fetchval("select esteira.drain($1)", worker_id))

    async def totals(self) -> Totals:
        """Return how many jobs there are in each state, over all queues, and what works on them."""
        row = await self.database.fetchrow(queries.TOTALS, patience=PATIENCE_SECONDS)
        assert row is not None
        return Totals(**row)

    async def _enqueue(self, jobs: Sequence[NewJob], db: Connection | None, *, atomic: bool) -> list[Enqueued]:
        columns = (*_columns(jobs), atomic)
        if db is not None:
            with translated():
                rows = await db.fetch(_ENQUEUE, *columns)
                # In the caller's own transaction a notification goes out with the commit.
                await db.execute(_NOTIFY, {row["queue"] for row in rows if row["queue"]})
        else:
            rows = await self.database.fetch(_ENQUEUE, *columns)
            self._notifier.notify(row["queue"] for row in rows if row["queue"])
        return [Enqueued(row["id"], row["outcome"]) for row in rows]

    async def _act(self, verb: str, job_id: UUID) -> Job:
        await self.database.fetch(verb, job_id)
        return await self.get(job_id)

    async def _parts(self, query: str, job_id: UUID) -> list[Any]:
        rows = await self.database.fetch(query, job_id, patience=PATIENCE_SECONDS)
        if not rows:
            await self.get(job_id)
        return rows


class Handle(Generic[R]):
    """An enqueued job, by id. `result` gives back what the task returned, in the type that it declares."""

    def __init__(self, job_id: UUID, client: Client, returns: TypeAdapter[R]) -> None:
        self.id = job_id
        self._client = client
        self._returns = returns

    def __repr__(self) -> str:
        return f"Handle({self.id})"

    async def job(self) -> Job:
        """Return the job as it is now."""
        return await self._client.get(self.id)

    async def cancel(self) -> Job:
        """Cancel it, or ask it to stop."""
        return await self._client.cancel(self.id)

    async def result(self, *, timeout: Duration | None = None) -> R:  # noqa: ASYNC109 - part of the interface
        """Wait for the end and return the result.

        Raises TimeoutError while it has not ended in time, JobFailed, JobCancelled, and InvalidInput where the result
        was not stored or is not of the declared type.
        """
        job = await self._client.wait(self.id, timeout=timeout)
        if job.status == "dead":
            raise JobFailed(job)
        if job.status == "cancelled":
            raise JobCancelled(job)
        if job.status != "completed":
            raise TimeoutError(f"job {self.id} is still {job.status}")
        try:
            return self._returns.validate_json(encode(job.result))
        except ValidationError as error:
            why = "; ".join(warning.detail for warning in job.warnings) or str(error)
            raise InvalidInput(f"job {self.id} has no result of the type that its task declares: {why}") from None


def _interval(duration: Duration | None) -> timedelta | None:
    return None if duration is None else to_timedelta(duration)


def _columns(jobs: Sequence[NewJob]) -> list[list[Any] | None]:
    return [
        [job.task for job in jobs],
        [encode(job.payload) for job in jobs],
        [job.queue for job in jobs],
        [job.priority for job in jobs],
        [_interval(job.delay) for job in jobs],
        [job.run_at for job in jobs],
        [job.retry and job.retry.attempts for job in jobs],
        [job.retry and job.retry.first for job in jobs],
        [job.retry and job.retry.max for job in jobs],
        [_interval(job.timeout) for job in jobs],
        [None if job.metadata is None else encode(job.metadata) for job in jobs],
        [None if job.tags is None else encode(job.tags) for job in jobs],
        [job.expires_at for job in jobs],
        _if_any([job.unique_key for job in jobs]),
        _if_any([job.on_conflict for job in jobs]),
        _if_any([job.idempotency_key for job in jobs]),
    ]


def _if_any(values: list[Any]) -> list[Any] | None:
    """Return None for none at all: jobs without keys take a shorter way."""
    return values if any(value is not None for value in values) else None


def _declared_task(row: Any) -> DeclaredTask:
    return DeclaredTask(**{**row, "payload_schema": decode(row["payload_schema"])})
