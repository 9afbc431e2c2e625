"""The asynchronous client: each verb is one call of an SQL function."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from esteira import queries
from esteira.database import Connection, Database, translated
from esteira.durations import Duration, to_timedelta
from esteira.encoding import decode, encode
from esteira.errors import InvalidInput, JobCancelled, JobFailed, JobNotFound
from esteira.job import FINAL, Attempt, Explanation, Job, Priority, Queue, Step, Worker
from esteira.notifier import Notifier
from esteira.queries import JobFilter
from esteira.retry import Retry, RetryChange
from esteira.schema import check_schema
from esteira.settings import read_settings

R = TypeVar("R")

# Reads may happen twice, so a short absence of the database (a restart, a failover) is waited out.
PATIENCE_SECONDS = 5.0

# JSON goes as text: the caller's connection may have a codec of its own for jsonb.
_ENQUEUE = """
select id, queue from esteira.enqueue_many(
    $1, $2::text[]::jsonb[], $3, $4, $5, $6, $7, $8, $9, $10, $11::text[]::jsonb[], $12::text[]::jsonb[])
"""
_NOTIFY = "select esteira.notify_workers($1)"
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. None means what its task declares, else Esteira's default.

    payload: anything that has a JSON form. delay: from now; run_at: an aware datetime; the later counts.
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

    def __post_init__(self) -> None:
        if self.run_at is not None and self.run_at.tzinfo is None:
            raise InvalidInput(f"run_at has no time zone: {self.run_at.isoformat()}")
        if isinstance(self.retry, Retry) and self.retry.never_on:
            raise InvalidInput("never_on belongs to the task's declaration; a job cannot change it")


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
        Raises InvalidInput for what Postgres cannot store.
        """
        new = NewJob(task, {} if payload is None else payload, **options)
        return Handle((await self.enqueue_many([new], db=db))[0], self, _ANYTHING)

    async def enqueue_many(self, jobs: Sequence[NewJob], *, db: Connection | None = None) -> list[UUID]:
        """Enqueue jobs in one statement: all or, where one is refused, none. Returns their ids in the same order."""
        columns = _columns(jobs)
        if db is not None:
            with translated():
                rows = await db.fetch(_ENQUEUE, *columns)
                # In the caller's own transaction a notification goes out with the commit.
                await db.execute(_NOTIFY, {row["queue"] for row in rows})
        else:
            rows = await self.database.fetch(_ENQUEUE, *columns)
            self._notifier.notify(row["queue"] for row in rows)
        return [row["id"] for row in rows]

    async def get(self, job_id: UUID) -> Job:
        """Return the job as it is now, with payload and result."""
        row = await self.database.fetchrow(queries.JOB_BY_ID, job_id, patience=PATIENCE_SECONDS)
        if row is None:
            raise JobNotFound(f"no job {job_id}")
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

    async def jobs(self, wanted: JobFilter | None = None) -> list[Job]:
        """Return a page of jobs, the newest first, without payloads and results."""
        rows = await self.database.fetch(queries.jobs(wanted or JobFilter()), patience=PATIENCE_SECONDS)
        return [Job.from_row(dict(row)) for row in rows]

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

    async def explain(self, job_id: UUID) -> Explanation:
        """Say why the job is not running now, or what it is doing."""
        row = await self.database.fetchrow(
            "select code, detail from esteira.explain($1)", job_id, patience=PATIENCE_SECONDS
        )
        if row is None or row["code"] == "not_found":
            raise JobNotFound(f"no job {job_id}")
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

    async def workers(self) -> list[Worker]:
        """Return the workers of the last day, the youngest first."""
        return [Worker(**row) for row in await self.database.fetch(queries.WORKERS, patience=PATIENCE_SECONDS)]

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


def _columns(jobs: Sequence[NewJob]) -> list[list[Any]]:
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
    ]
