"""What the queue does, without SQL: the state machine of jobs, one session at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

LIVE = ("queued", "running")
DAY = timedelta(days=1)
KEEP_FINISHED, KEEP_DEAD, KEEP_SHORT = timedelta(days=7), timedelta(days=30), timedelta(hours=1)
MAX_CRASHES = 3


class Refused(Exception):
    """One of our SQLSTATEs."""


@dataclass
class Job:
    id: UUID
    task: str
    queue: str
    priority: int
    run_at: datetime
    ready_at: datetime
    max_attempts: int = 3
    expires_at: datetime | None = None
    key: str | None = None
    status: str = "queued"
    reason: str | None = None
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    generation: int = 1
    worker: UUID | None = None
    progress: float = 0
    step: str | None = None
    cancel_asked: bool = False
    finished_at: datetime | None = None
    tags: list[str] = field(default_factory=list)
    steps: dict[str, int] = field(default_factory=dict)
    attempts: dict[int, str] = field(default_factory=dict)


@dataclass
class Model:
    """Every verb returns what SQL must return, or raises Refused."""

    now: datetime
    jobs: dict[UUID, Job] = field(default_factory=dict)
    paused_queues: set[str] = field(default_factory=set)
    paused_tasks: set[str] = field(default_factory=set)
    keys: dict[str, tuple[Any, UUID, datetime]] = field(default_factory=dict)

    def enqueue(self, new: Job, on_conflict: str | None, idempotency_key: str | None, request: Any) -> UUID:
        """Return the id of whatever job is the answer; `new` carries the id that SQL gave out."""
        known = self.keys.get(idempotency_key or "")
        if known and known[2] > self.now - DAY:
            if known[0] != request:
                raise Refused("ES006")
            return known[1]
        answer = self._place(new, on_conflict or "return")
        if idempotency_key:
            self.keys[idempotency_key] = (request, answer, self.now)
        return answer

    def _place(self, new: Job, on_conflict: str) -> UUID:
        live = self._holder(new.task, new.key)
        if live and live.attempt == 0 and live.expires_at and live.expires_at <= self.now:
            self._end(live, "cancelled", "expired")
            live = None
        if live and on_conflict == "replace" and live.attempt == 0:
            self.jobs[live.id] = replace(new, id=live.id)
            return live.id
        if live and on_conflict != "return":
            raise Refused("ES003")
        if live:
            return live.id
        self.jobs[new.id] = new
        return new.id

    def _holder(self, task: str, key: str | None) -> Job | None:
        same = (job for job in self.jobs.values() if job.key == key and job.task == task and job.status in LIVE)
        return next(same, None) if key is not None else None

    def claim(self, worker: UUID, wanted: int, tasks: Sequence[str], lanes: Sequence[tuple[str, int]]) -> list[UUID]:
        able = [job for job in self.jobs.values() if self._is_ready(job) and job.task in tasks]
        taken = [
            job
            for lane in lanes
            for job in sorted(able, key=lambda job: (job.ready_at, job.id))
            if (job.queue, job.priority) == lane
        ][:wanted]
        for job in taken:
            job.status, job.worker, job.attempt = "running", worker, job.attempt + 1
        return [job.id for job in taken]

    def _is_ready(self, job: Job) -> bool:
        paused = job.queue in self.paused_queues or job.task in self.paused_tasks
        late = job.attempt == 0 and job.expires_at is not None and job.expires_at <= self.now
        return job.status == "queued" and job.ready_at <= self.now and not paused and not late

    def held(self, job_id: UUID, attempt: int) -> Job | None:
        """The fence: the job, if it still is at that attempt."""
        job = self.jobs.get(job_id)
        return job if job and job.status == "running" and job.attempt == attempt else None

    def complete(self, job: Job) -> None:
        job.progress = 1
        self._end(job, "completed", None)

    def fail(self, job: Job, outcome: str, run_at: datetime, *, retryable: bool) -> str:
        job.failures += 1
        if (job.failures >= job.max_attempts or not retryable) and not job.cancel_asked:
            job.attempts[job.attempt] = outcome
            self._end(job, "dead", "attempts_exhausted" if retryable else "not_retryable")
        else:
            self.put_back(job, outcome, run_at)
        return job.status

    def put_back(self, job: Job, outcome: str, run_at: datetime | None = None) -> str:
        """Back to its queue, unless somebody asked to stop it."""
        job.attempts[job.attempt] = outcome
        if job.cancel_asked:
            self._end(job, "cancelled", "cancelled")
        else:
            self._queue(job, run_at or job.run_at)
        return job.status

    def lose(self, worker: UUID, outcome: str) -> int:
        lost = [job for job in self.jobs.values() if job.worker == worker and job.status == "running"]
        for job in lost:
            job.crashes += 1
            if job.crashes >= MAX_CRASHES and not job.cancel_asked:
                job.attempts[job.attempt] = outcome
                self._end(job, "dead", "crashed")
            else:
                self.put_back(job, outcome)
        return len(lost)

    def acknowledge_cancel(self, job: Job) -> str:
        job.attempts[job.attempt] = "cancelled"
        self._end(job, "cancelled", "cancelled")
        return job.status

    def cancel(self, job_id: UUID) -> str:
        job = self._found(job_id)
        if job.status == "queued":
            self._end(job, "cancelled", "cancelled")
        elif job.status == "running":
            job.cancel_asked = True
        else:
            raise Refused("ES002")
        return job.status

    def retry(self, job_id: UUID) -> UUID:
        job = self._found(job_id)
        if job.status not in ("dead", "cancelled"):
            raise Refused("ES002")
        if self._holder(job.task, job.key):
            raise Refused("ES003")
        job.failures = job.crashes = 0
        job.generation += 1
        job.reason = job.expires_at = job.finished_at = None
        self._queue(job, self.now)
        return job_id

    def discard(self, job_id: UUID) -> UUID:
        if self._found(job_id).status != "dead":
            raise Refused("ES002")
        del self.jobs[job_id]
        return job_id

    def edit(
        self, job_id: UUID, priority: int | None, queue: str | None, run_at: datetime | None, tags: list[str]
    ) -> str:
        job = self._found(job_id)
        if priority is not None or queue or run_at:
            if job.status != "queued":
                raise Refused("ES002")
            job.queue, job.priority = queue or job.queue, job.priority if priority is None else priority
            self._queue(job, max(run_at, self.now) if run_at else job.run_at)
        job.tags = tags
        return job.status

    def purge(self, queue: str) -> int:
        return self._end_all((job for job in self.jobs.values() if job.queue == queue), "purged")

    def expire(self) -> int:
        late = (job for job in self.jobs.values() if job.expires_at and job.expires_at <= self.now and job.attempt == 0)
        return self._end_all(late, "expired")

    def retain(self) -> None:
        today = (self.now - KEEP_FINISHED).date()
        for job in [job for job in self.jobs.values() if job.finished_at]:
            assert job.finished_at
            if job.status == "dead":
                gone = job.finished_at < self.now - KEEP_DEAD
            else:
                gone = job.finished_at.date() < today or (
                    job.queue == "short" and job.finished_at < self.now - KEEP_SHORT
                )
            if gone:
                del self.jobs[job.id]

    def _found(self, job_id: UUID) -> Job:
        if job_id not in self.jobs:
            raise Refused("ES005")
        return self.jobs[job_id]

    def _queue(self, job: Job, run_at: datetime) -> None:
        job.status, job.worker, job.cancel_asked = "queued", None, False
        job.run_at, job.ready_at = run_at, max(run_at, self.now)

    def _end(self, job: Job, status: str, reason: str | None) -> None:
        job.status, job.reason, job.worker, job.cancel_asked = status, reason, None, False
        job.finished_at = self.now

    def _end_all(self, jobs: Iterable[Job], reason: str) -> int:
        ended = [job for job in jobs if job.status == "queued"]
        for job in ended:
            self._end(job, "cancelled", reason)
        return len(ended)
