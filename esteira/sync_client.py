# Written by scripts/generate_sync.py from esteira/client.py. Do not edit: change that and run `make generate`.
"""The synchronous client: each verb is one call of an SQL function."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload
from uuid import UUID

from pydantic import TypeAdapter

from esteira import queries
from esteira.database import Row, SyncCallersConnection, SyncDatabase, sync_fetch_with
from esteira.durations import Duration, to_timedelta
from esteira.encoding import decode, encode
from esteira.errors import InvalidInput, JobNotFound
from esteira.job import FINAL, Attempt, Explanation, Job, Priority, Step, check_id
from esteira.job_filter import JobFilter, Page
from esteira.new_job import NOTIFY, Enqueued, NewJob, check_options, enqueue_statement
from esteira.rights import Rights
from esteira.schema import check_schema
from esteira.settings import read_settings
from esteira.sync_handle import SyncHandle
from esteira.sync_operations import PATIENCE_SECONDS, SyncOperations

if TYPE_CHECKING:
    from esteira.task import Task

R = TypeVar("R")

_EDIT = "select esteira.edit($1, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb, $8)"
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


class SyncClient(SyncOperations):
    """Enqueue jobs and ask after them.

    Without arguments it reads ESTEIRA_DATABASE_URL. Use it as a context manager, or call `close`.
    Methods raise DatabaseUnavailable where Postgres cannot be reached, and JobNotFound for an id that no job has.
    """

    def __init__(self, database_url: str | None = None, *, database: SyncDatabase | None = None) -> None:
        super().__init__(
            database
            or SyncDatabase(database_url or read_settings().require_database_url(), session_name="esteira-client")
        )

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

    def rights(self) -> Rights:
        """Return what the account that is logged in may not do. Raises PermissionDenied where it may not even ask."""
        row = self.database.fetchrow(queries.RIGHTS, patience=PATIENCE_SECONDS)
        assert row is not None
        return Rights(row["account"], tuple(row["missing"]))

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
        only if the transaction on it commits. Raises InvalidInput for what does not fit or Postgres cannot store,
        UniqueConflict, IdempotencyMismatch, KeyInFlight.
        """
        if isinstance(task, str):
            check_options(options)
            new, returns = NewJob(task, {} if payload is None else payload, **options), _ANYTHING
        else:
            new, returns = task.new_job(payload, **options), task.signature.returns
        ids = self.enqueue_many([new], db=db)
        return SyncHandle(ids[0], self, returns)

    def enqueue_many(self, jobs: Sequence[NewJob], *, db: SyncCallersConnection | None = None) -> list[UUID]:
        """Enqueue jobs in one statement: all or, where one is refused, none. Returns their ids in the same order."""
        return [row["id"] for row in self._enqueue(jobs, db, atomic=True)]

    def enqueue_each(self, jobs: Sequence[NewJob], *, db: SyncCallersConnection | None = None) -> list[Enqueued]:
        """Enqueue jobs in one statement, each for itself: one whose key is refused does not hinder the others.

        Raises InvalidInput where one cannot be stored, KeyInFlight; then none is.
        """
        return [Enqueued(row["id"], row["outcome"]) for row in self._enqueue(jobs, db, atomic=False)]

    def get(self, job_id: UUID) -> Job:
        """Return the job as it is now, with payload and result."""
        row = self.database.fetchrow(queries.JOB_BY_ID, check_id(job_id), patience=PATIENCE_SECONDS)
        if row is None:
            raise self.missing(job_id)
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

    def missing(self, job_id: UUID) -> JobNotFound:
        """Return what there is to say of an id that no job has."""
        try:
            self.database.fetch(queries.MISSING, job_id, patience=PATIENCE_SECONDS)
        except JobNotFound as error:
            return error
        raise AssertionError("esteira.missing raises")

    def jobs(self, wanted: JobFilter | None = None, page: Page | None = None) -> list[Job]:
        """Return a page of jobs, by default the newest 50, without payloads and results."""
        from esteira import lists

        query = lists.jobs(wanted or JobFilter(), page or Page())
        rows = self.database.fetch(query, patience=PATIENCE_SECONDS)
        return [Job.from_row(dict(row)) for row in rows]

    def count(self, wanted: JobFilter | None = None, *, estimate: bool = False) -> int:
        """Count jobs. An estimate is the planner's: quick where counting would read all of history."""
        from esteira import lists

        wanted = wanted or JobFilter()
        if estimate:
            return self.database.estimate(lists.job_ids(wanted), patience=PATIENCE_SECONDS)
        return int(self.database.fetchval(lists.count(wanted), patience=PATIENCE_SECONDS))

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

    def edit(
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
        self.database.fetch(_EDIT, check_id(job_id), *values)
        job = self.get(job_id)
        self._notifier.notify([job.queue])
        return job

    def discard(self, job_id: UUID) -> None:
        """Remove a dead job for good. Raises IllegalTransition for any other."""
        self.database.fetch("select esteira.discard($1)", check_id(job_id))

    def explain(self, job_id: UUID) -> Explanation:
        """Say why the job is not running now, or what it is doing."""
        row = self.database.fetchrow(
            "select code, detail from esteira.explain($1)", check_id(job_id), patience=PATIENCE_SECONDS
        )
        if row is None or row["code"] == "not_found":
            raise self.missing(job_id)
        return Explanation(**row)

    def steps(self, job_id: UUID) -> list[Step]:
        """Return the finished steps, in the order in which they finished."""
        rows = self._parts(queries.STEPS, job_id)
        return [Step(**{**row, "result": decode(row["result"])}) for row in rows]

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Return the attempts that did not complete."""
        rows = self._parts(queries.ATTEMPTS, job_id)
        return [Attempt(**{**row, "error": decode(row["error"])}) for row in rows]

    def _enqueue(self, jobs: Sequence[NewJob], db: SyncCallersConnection | None, *, atomic: bool) -> Sequence[Row]:
        rows: Sequence[Row]
        if not jobs:
            return []
        notify = db is None and self._notifier.with_commit()
        statement, values = enqueue_statement(jobs, atomic=atomic, notify=notify)
        without_key = [job for job in jobs if job.on_conflict and job.unique_key is None]
        if without_key:
            self._check_conflicts(without_key, db)
        if db is None:
            rows = self.database.fetch(statement, *values)
            self._notifier.notify({row["queue"] for row in rows} - {None}, notified=rows[0]["notified"])
        else:
            rows = sync_fetch_with(db, statement, *values)
            # In the caller's own transaction a notification goes out with the commit.
            sync_fetch_with(db, NOTIFY, {row["queue"] for row in rows} - {None})
        return rows

    def _check_conflicts(self, jobs: Sequence[NewJob], db: SyncCallersConnection | None) -> None:
        """Raise InvalidInput for one whose on_conflict would be about no key at all."""
        rows: Sequence[Row]
        wanted = [job.task for job in jobs], [job.idempotency_key for job in jobs]
        if db is None:
            rows = self.database.fetch(queries.WITHOUT_UNIQUE_KEY, *wanted, patience=PATIENCE_SECONDS)
        else:
            rows = sync_fetch_with(db, queries.WITHOUT_UNIQUE_KEY, *wanted)
        if rows:
            task = rows[0]["task"]
            raise InvalidInput(f'on_conflict: give a unique_key as well: the task "{task}" declares none')

    def _act(self, verb: str, job_id: UUID) -> Job:
        self.database.fetch(verb, check_id(job_id))
        return self.get(job_id)

    def _parts(self, query: str, job_id: UUID) -> list[Any]:
        rows = self.database.fetch(query, check_id(job_id), patience=PATIENCE_SECONDS)
        if not rows:
            self.get(job_id)
        return rows
