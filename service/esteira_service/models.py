"""What the service answers, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from esteira.job import Attempt, Job, Step, Warning  # noqa: A004 - the word of the interface
from esteira.overview import Queue, Worker


class Links(BaseModel):
    """Where to go from a job, as paths."""

    self: str
    steps: str
    attempts: str
    explain: str
    cancel: str | None = Field(description="Null once the job has ended.")
    retry: str | None = Field(description="Null unless the job is dead or cancelled.")


class JobView(Job):
    """A job. Lists leave out payload and result."""

    poll_after_seconds: int | None = Field(description="When it makes sense to ask again; null once the job has ended.")
    links: Links

    @classmethod
    def of(cls, job: Job, **changes: Any) -> JobView:
        """Show a job; `changes` replace its values."""
        return cls(**{**vars(job), "poll_after_seconds": poll_after(job), "links": _links(job), **changes})


class JobPage(BaseModel):
    """Jobs, the newest first, without payload and result."""

    items: list[JobView]
    next: str | None = Field(description="The `cursor` of the page that follows; null on the last one.")

    def to_json(self) -> str:
        """Write the page."""
        return self.model_dump_json(exclude={"items": {"__all__": {"payload", "result"}}})


class StepList(BaseModel):
    """The finished steps of a job, in the order in which they finished."""

    items: list[Step]


class AttemptList(BaseModel):
    """The attempts of a job that did not complete."""

    items: list[Attempt]


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
    if job.done:
        return None
    now = datetime.now(UTC)
    until = (job.run_at - now).total_seconds()
    if until > 0:
        return min(60, 1 + int(until))
    return max(1, min(30, int((now - (job.started_at or job.run_at)).total_seconds()) // 10))


def _links(job: Job) -> dict[str, str | None]:
    path = f"/v1/jobs/{job.id}"
    return {
        "self": path,
        "steps": f"{path}/steps",
        "attempts": f"{path}/attempts",
        "explain": f"{path}/explain",
        "cancel": None if job.done else f"{path}/cancel",
        "retry": f"{path}/retry" if job.status in ("dead", "cancelled") else None,
    }
