"""What the service answers, as JSON."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from esteira.database.pool import Record
from esteira.encoding import decode
from esteira.job import FINAL, Attempt, Job, Status, Step, Warning  # noqa: A004 - the word of the interface
from esteira.new_job import Outcome
from esteira.overview import DeclaredTask, Ended, Queue, Totals, Worker
from esteira_service.problems import Problem


class Links(BaseModel):
    """Where to go from a job, as paths."""

    self: str
    result: str
    steps: str
    attempts: str
    explain: str
    cancel: str | None = Field(description="Null once the job has ended.")
    retry: str | None = Field(description="Null unless the job is dead or cancelled.")
    discard: str | None = Field(description="Null unless the job is dead.")


# All fields of one that was just enqueued; those that are read of it replace theirs.
_NEW: dict[str, Any] = dict.fromkeys(Job.model_fields) | {
    "done": False,
    "progress": 0.0,
    "failures": 0,
    "crashes": 0,
    "warnings": [],
}


class JobView(Job):
    """A job. Lists leave out payload and result."""

    # An answer to a POST is given its payload and its warnings last.
    model_config = ConfigDict(frozen=False)

    poll_after_seconds: int | None = Field(description="When it makes sense to ask again; null once the job has ended.")
    links: Links

    @classmethod
    def of(cls, job: Job, **changes: Any) -> JobView:
        """Show a job; `changes` replace its values."""
        return cls(
            **{**vars(job), "poll_after_seconds": poll_after(job), "links": _links(job.id, job.status), **changes}
        )

    @classmethod
    def of_new(cls, row: Record) -> JobView:
        """Show a job that was just enqueued, from queries.NEW_COLUMNS alone; without its payload.

        By way of a Job it took twice as long: 7 % of a POST.
        """
        return cls(
            **{
                **_NEW,
                **row,
                "metadata": decode(row["metadata"]),
                "tags": [tag for tag in row["tags"] if tag is not None],
                "updated_at": row["created_at"],
                "poll_after_seconds": _seconds_from(row["run_at"]),
                "links": _links(row["id"], row["status"]),
            }
        )


class ObservedJobView(JobView):
    """A job, and when it was looked at: no two answers are the same, which some who poll take for "stuck"."""

    observed_at: datetime


class JobPage(BaseModel):
    """Jobs, by default without payload and result."""

    items: list[JobView]
    next: str | None = Field(description="The `cursor` of the page that follows; null on the last one.")
    total: int | None = Field(None, description="With `count`: how many jobs the filter finds, on all pages.")

    def to_json(self, bodies: Collection[str] = ()) -> str:
        """Write the page, with payload and result where they are named."""
        left_out: dict[str, Any] = {"items": {"__all__": {"payload", "result"} - set(bodies)}}
        if self.total is None:
            left_out["total"] = True
        return self.model_dump_json(exclude=left_out)


class ManyActed(BaseModel):
    """What an act on many jobs did, or would do."""

    matched: int = Field(description="Jobs that the filter found and to which the act applies, up to the limit.")
    changed: int = Field(description="Those that it changed.")
    more: bool = Field(description="Whether there are more than the limit: ask again for the rest.")
    dry_run: bool


class ManyCancelled(ManyActed):
    """What a cancellation of many jobs did, or would do."""

    asked_to_stop: int = Field(description="Running ones, which end when their handlers notice.")


class BatchItem(BaseModel):
    """What became of one job of a batch: an id, or a problem."""

    status: int = Field(description="As if it had been sent alone: 202, 409, 413, 422; 503 if nobody knows.")
    id: UUID | None = None
    outcome: Outcome | None = None
    problem: Problem | None = None


class BatchView(BaseModel):
    """What became of the jobs of a batch, in their order."""

    accepted: int
    refused: int
    warnings: list[Warning] = Field(description="Each once, twenty at most.")
    items: list[BatchItem]


class StepList(BaseModel):
    """The finished steps of a job, in the order in which they finished."""

    items: list[Step]


class AttemptList(BaseModel):
    """The attempts of a job that did not complete."""

    items: list[Attempt]


class Purged(BaseModel):
    """How many jobs a purge cancelled."""

    purged: int


class TaskList(BaseModel):
    """The tasks that workers ever declared, by name."""

    items: list[DeclaredTask]


class Draining(BaseModel):
    """A worker that was asked to stop, and since when."""

    id: UUID
    drain_requested_at: datetime


class Lately(BaseModel):
    """What ended in a span of time that reaches to now."""

    completed: int
    cancelled: int
    dead: int
    completed_per_second: float

    @classmethod
    def of(cls, ended: Ended) -> Lately:
        """Show it with a rate."""
        return cls(**ended.model_dump(), completed_per_second=round(ended.completed / ended.seconds, 3))


class Stats(Totals):
    """The whole installation in a few numbers."""

    last_five_minutes: Lately
    last_hour: Lately


class QueueList(BaseModel):
    """The queues by name."""

    items: list[Queue]


class WorkerList(BaseModel):
    """The workers of the last day, the youngest first."""

    items: list[Worker]


class Health(BaseModel):
    """The service's own state."""

    status: str
    warnings: Sequence[Warning] = ()


def poll_after(job: Job) -> int | None:
    """Say in how many seconds it makes sense to ask again: soon while the job is young, later and later, 30 s at most.

    A scheduled job is asked after when its time has come, or in a minute.
    """
    return None if job.done else _seconds_from(job.run_at, job.started_at)


def _seconds_from(run_at: datetime, started_at: datetime | None = None) -> int:
    now = datetime.now(UTC)
    until = (run_at - now).total_seconds()
    if until > 0:
        return min(60, 1 + int(until))
    return max(1, min(30, int((now - (started_at or run_at)).total_seconds()) // 10))


def _links(job_id: UUID, status: Status) -> dict[str, str | None]:
    path = f"/v1/jobs/{job_id}"
    return {
        "self": path,
        "result": f"{path}/result",
        "steps": f"{path}/steps",
        "attempts": f"{path}/attempts",
        "explain": f"{path}/explain",
        "cancel": None if status in FINAL else f"{path}/cancel",
        "retry": f"{path}/retry" if status in ("dead", "cancelled") else None,
        "discard": f"{path}/discard" if status == "dead" else None,
    }
