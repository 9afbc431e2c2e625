"""The asynchronous client: each verb is one call of an SQL function."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload
from uuid import UUID

from pydantic import TypeAdapter

from esteira import queries
from esteira.database import CallersConnection, Database, Row, fetch_with
from esteira.durations import Duration, to_timedelta
from esteira.encoding import decode
from esteira.errors import JobNotFound
from esteira.handle import Handle
from esteira.job import FINAL, Attempt, Explanation, Job, Queue, Step, Worker
from esteira.new_job import ENQUEUE, NOTIFY, NewJob, columns
from esteira.notifier import Notifier
from esteira.queries import JobFilter
from esteira.schema import check_schema
from esteira.settings import read_settings

if TYPE_CHECKING:
    from esteira.task import Task

R = TypeVar("R")

# Reads may happen twice, so a short absence of the database (a restart, a failover) is waited out.
PATIENCE_SECONDS = 5.0

_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


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

    @overload
    async def enqueue(
        self, task: Task[..., R], payload: Any = None, *, db: CallersConnection | None = None, **options: Any
    ) -> Handle[R]: ...
    @overload
    async def enqueue(
        self, task: str, payload: Any = None, *, db: CallersConnection | None = None, **options: Any
    ) -> Handle[Any]: ...
    async def enqueue(
        self, task: Task[..., Any] | str, payload: Any = None, *, db: CallersConnection | None = None, **options: Any
    ) -> Handle[Any]:
        """Enqueue one job of a task, given as such or by its name; `options` are the other fields of NewJob.

        A task checks the payload and types the result. db: a connection of the caller's; the job then exists if and
        only if the transaction on it commits. Raises InvalidInput for what does not fit or Postgres cannot store.
        """
        if isinstance(task, str):
            new, returns = NewJob(task, {} if payload is None else payload, **options), _ANYTHING
        else:
            new, returns = task.new_job(payload, **options), task.signature.returns
        ids = await self.enqueue_many([new], db=db)
        return Handle(ids[0], self, returns)

    async def enqueue_many(self, jobs: Sequence[NewJob], *, db: CallersConnection | None = None) -> list[UUID]:
        """Enqueue jobs in one statement: all or, where one is refused, none. Returns their ids in the same order.

        db: a connection of the caller's; the jobs then exist if and only if the transaction on it commits.
        """
        rows: Sequence[Row]
        if db is None:
            rows = await self.database.fetch(ENQUEUE, *columns(jobs))
            self._notifier.notify(row["queue"] for row in rows)
        else:
            rows = await fetch_with(db, ENQUEUE, *columns(jobs))
            # In the caller's own transaction a notification goes out with the commit.
            await fetch_with(db, NOTIFY, {row["queue"] for row in rows})
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
        deadline = None if timeout is None else time.monotonic() + to_timedelta(timeout).total_seconds()
        pause = 0.02
        while True:
            job = await self.get(job_id)
            left = None if deadline is None else deadline - time.monotonic()
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
