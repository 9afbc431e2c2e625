# Written by scripts/generate_sync.py from esteira/client.py. Do not edit: change that and run `make generate`.
"""The synchronous client: each verb is one call of an SQL function."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload
from uuid import UUID

from pydantic import TypeAdapter

from esteira import queries
from esteira.database import Row, SyncCallersConnection, SyncDatabase, sync_fetch_with
from esteira.durations import Duration, to_timedelta
from esteira.encoding import decode
from esteira.errors import JobNotFound
from esteira.job import FINAL, Attempt, Explanation, Job, Queue, Step, Worker
from esteira.new_job import ENQUEUE, NOTIFY, NewJob, columns
from esteira.notifier import SyncNotifier
from esteira.queries import JobFilter
from esteira.schema import check_schema
from esteira.settings import read_settings
from esteira.sync_handle import SyncHandle

if TYPE_CHECKING:
    from esteira.task import Task

R = TypeVar("R")

# Reads may happen twice, so a short absence of the database (a restart, a failover) is waited out.
PATIENCE_SECONDS = 5.0

_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


class SyncClient:
    """Enqueue jobs and ask after them.

    Without arguments it reads ESTEIRA_DATABASE_URL. Use it as a context manager, or call `close`.
    Methods raise DatabaseUnavailable where Postgres cannot be reached, and JobNotFound for an id that no job has.
    """

    def __init__(self, database_url: str | None = None, *, database: SyncDatabase | None = None) -> None:
        self.database = database or SyncDatabase(
            database_url or read_settings().require_database_url(), session_name="esteira-client"
        )
        self._notifier = SyncNotifier(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send the last notifications and close the connections."""
        try:
            self._notifier.close()
        finally:
            self.database.close()

    def check_schema(self) -> None:
        """Raise SchemaMismatch, saying what to run, unless the database has the schema that this version speaks."""
        stamped = self.database.fetchval(queries.IS_STAMPED, patience=PATIENCE_SECONDS)
        check_schema(self.database.fetchval(queries.STAMP, patience=PATIENCE_SECONDS) if stamped else None)

    @overload
    def enqueue(
        self, task: Task[..., R], payload: Any = None, *, db: SyncCallersConnection | None = None, **options: Any
    ) -> SyncHandle[R]: ...
    @overload
    def enqueue(
        self, task: str, payload: Any = None, *, db: SyncCallersConnection | None = None, **options: Any
    ) -> SyncHandle[Any]: ...
    def enqueue(
        self,
        task: Task[..., Any] | str,
        payload: Any = None,
        *,
        db: SyncCallersConnection | None = None,
        **options: Any,
    ) -> SyncHandle[Any]:
        """Enqueue one job of a task, given as such or by its name; `options` are the other fields of NewJob.

        A task checks the payload and types the result. db: a connection of the caller's; the job then exists if and
        only if the transaction on it commits. Raises InvalidInput for what does not fit or Postgres cannot store.
        """
        if isinstance(task, str):
            new, returns = NewJob(task, {} if payload is None else payload, **options), _ANYTHING
        else:
            new, returns = task.new_job(payload, **options), task.signature.returns
        ids = self.enqueue_many([new], db=db)
        return SyncHandle(ids[0], self, returns)

    def enqueue_many(self, jobs: Sequence[NewJob], *, db: SyncCallersConnection | None = None) -> list[UUID]:
        """Enqueue jobs in one statement: all or, where one is refused, none. Returns their ids in the same order.

        db: a connection of the caller's; the jobs then exist if and only if the transaction on it commits.
        """
        rows: Sequence[Row]
        if db is None:
            rows = self.database.fetch(ENQUEUE, *columns(jobs))
            self._notifier.notify(row["queue"] for row in rows)
        else:
            rows = sync_fetch_with(db, ENQUEUE, *columns(jobs))
            # In the caller's own transaction a notification goes out with the commit.
            sync_fetch_with(db, NOTIFY, {row["queue"] for row in rows})
        return [row["id"] for row in rows]

    def get(self, job_id: UUID) -> Job:
        """Return the job as it is now, with payload and result."""
        row = self.database.fetchrow(queries.JOB_BY_ID, job_id, patience=PATIENCE_SECONDS)
        if row is None:
            raise JobNotFound(f"no job {job_id}")
        return Job.from_row(dict(row))

    def get_many(self, job_ids: Collection[UUID], *, payloads: bool = True) -> dict[UUID, Job]:
        """Return these jobs as they are now; an id that no job has is left out.

        payloads: False leaves them out of the jobs that have not ended.
        """
        live = queries.LIVE_JOBS_BY_IDS if payloads else queries.LIVE_JOBS_BY_IDS_WITHOUT_BODIES
        rows = self.database.fetch(live, job_ids, patience=PATIENCE_SECONDS)
        found = {row["id"]: Job.from_row(dict(row)) for row in rows}
        ended = [job_id for job_id in job_ids if job_id not in found]
        if ended:
            rows = self.database.fetch(queries.JOBS_BY_IDS, ended, patience=PATIENCE_SECONDS)
            found.update((row["id"], Job.from_row(dict(row))) for row in rows)
        return found

    def live(self, job_ids: Collection[UUID]) -> set[UUID]:
        """Return those of these ids whose jobs have not ended."""
        rows = self.database.fetch(queries.LIVE_IDS, job_ids, patience=PATIENCE_SECONDS)
        return {row["id"] for row in rows}

    def declared(self, tasks: Collection[str]) -> set[str]:
        """Return those of these tasks that a worker has ever declared."""
        rows = self.database.fetch(queries.DECLARED, tasks, patience=PATIENCE_SECONDS)
        return {row["name"] for row in rows}

    def unserved_queues(self) -> list[str]:
        """Return the queues that hold queued jobs, ready or scheduled, and that no living worker serves."""
        rows = self.database.fetch(queries.UNSERVED_QUEUES, patience=PATIENCE_SECONDS)
        return [row["name"] for row in rows]

    def jobs(self, wanted: JobFilter | None = None) -> list[Job]:
        """Return a page of jobs, the newest first, without payloads and results."""
        rows = self.database.fetch(queries.jobs(wanted or JobFilter()), patience=PATIENCE_SECONDS)
        return [Job.from_row(dict(row)) for row in rows]

    def wait(self, job_id: UUID, *, timeout: Duration | None = None) -> Job:
        """Return the job once it has ended, or as it is when `timeout` is over."""
        deadline = None if timeout is None else time.monotonic() + to_timedelta(timeout).total_seconds()
        pause = 0.02
        while True:
            job = self.get(job_id)
            left = None if deadline is None else deadline - time.monotonic()
            if job.status in FINAL or (left is not None and left <= 0):
                return job
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, 1.0)

    def cancel(self, job_id: UUID) -> Job:
        """Cancel a job that has not started, or ask a running one to stop; returns the job after it.

        Raises IllegalTransition where it has ended.
        """
        return self._act("select esteira.cancel($1)", job_id)

    def retry(self, job_id: UUID) -> Job:
        """Give a dead or cancelled job another life; returns the job after it.

        Raises IllegalTransition for any other.
        """
        job = self._act("select esteira.retry($1)", job_id)
        self._notifier.notify([job.queue])
        return job

    def explain(self, job_id: UUID) -> Explanation:
        """Say why the job is not running now, or what it is doing."""
        row = self.database.fetchrow("select code, detail from esteira.explain($1)", job_id, patience=PATIENCE_SECONDS)
        if row is None or row["code"] == "not_found":
            raise JobNotFound(f"no job {job_id}")
        return Explanation(**row)

    def steps(self, job_id: UUID) -> list[Step]:
        """Return the finished steps, in the order in which they finished."""
        rows = self._parts(queries.STEPS, job_id)
        return [Step(**{**row, "result": decode(row["result"])}) for row in rows]

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Return the attempts that did not complete."""
        rows = self._parts(queries.ATTEMPTS, job_id)
        return [Attempt(**{**row, "error": decode(row["error"])}) for row in rows]

    def queues(self) -> list[Queue]:
        """Return the queues by name."""
        return [Queue(**row) for row in self.database.fetch(queries.QUEUES, patience=PATIENCE_SECONDS)]

    def workers(self) -> list[Worker]:
        """Return the workers of the last day, the youngest first."""
        return [Worker(**row) for row in self.database.fetch(queries.WORKERS, patience=PATIENCE_SECONDS)]

    def _act(self, verb: str, job_id: UUID) -> Job:
        self.database.fetch(verb, job_id)
        return self.get(job_id)

    def _parts(self, query: str, job_id: UUID) -> list[Any]:
        rows = self.database.fetch(query, job_id, patience=PATIENCE_SECONDS)
        if not rows:
            self.get(job_id)
        return rows
