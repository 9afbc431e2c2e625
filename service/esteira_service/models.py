"""What the service reads and writes, as JSON."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from esteira.encoding import encode
from esteira.job import Attempt, Job, Priority, Step, Warning  # noqa: A004 - the word of the interface
from esteira.new_job import NewJob
from esteira.overview import DeclaredTask, Ended, Queue, Totals, Worker
from esteira.retry import RetryChange

CENTURY_SECONDS = 3_155_760_000
LAST_YEAR = 2200
# The database has the last word: which letters and digits there are depends on its locale.
Name = Annotated[str, Field(pattern=r"^\w[\w.:/-]{0,99}$")]
Seconds = Annotated[float, Field(ge=0, le=CENTURY_SECONDS, allow_inf_nan=False)]


class RetryRequest(BaseModel):
    """How failures are tried again. What is left out stays as the task declares it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    attempts: int | None = Field(None, ge=1, le=2**31 - 1, description="Failures that end the job; 1 means no retry.")
    first_seconds: Seconds | None = Field(None, description="Backoff after the first failure; it doubles with each.")
    max_seconds: Seconds | None = Field(None, description="The longest backoff.")

    def change(self) -> RetryChange:
        """Say it in the client's words."""
        return RetryChange(self.attempts, _timedelta(self.first_seconds), _timedelta(self.max_seconds))


class JobRequest(BaseModel):
    """A job to enqueue. What is left out, or null, is as the task declares it, else Esteira's default."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"task": "billing.fulfil", "payload": {"id": 1, "customer": "a", "amount": 5}},
                {
                    "task": "billing.fulfil",
                    "payload": {"id": 1, "customer": "a", "amount": 5},
                    "queue": "billing",
                    "priority": "high",
                    "delay_seconds": 30,
                    "retry": {"attempts": 5, "first_seconds": 2, "max_seconds": 300},
                    "timeout_seconds": 600,
                    "metadata": {"order": "2026-117"},
                    "tags": ["spring"],
                },
            ]
        },
    )

    task: Name
    payload: Any = Field(default_factory=dict, description="The task's arguments, nested at most 100 deep.")
    queue: Name | None = None
    priority: Priority | None = None
    delay_seconds: Seconds | None = Field(None, description="Not before so many seconds from now.")
    run_at: AwareDatetime | None = Field(None, description="Not before this time. Up to the year 2200.")
    retry: RetryRequest | None = None
    timeout_seconds: Annotated[Seconds, Field(ge=0.001)] | None = Field(
        None, description="The longest an attempt may take."
    )
    metadata: dict[str, Any] | None = Field(None, description="Yours: stored and shown, never interpreted.")
    tags: list[str] | None = None

    @field_validator("run_at")
    @classmethod
    def _one_time(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is not None and info.data.get("delay_seconds") is not None:
            raise ValueError("give delay_seconds or run_at, not both")
        if value is not None and value.year > LAST_YEAR:
            raise ValueError(f"the year {LAST_YEAR} is the last")
        return value

    def new_job(self) -> NewJob:
        """Say it in the client's words."""
        return NewJob(
            self.task, encode(self.payload), self.queue, self.priority, _timedelta(self.delay_seconds), self.run_at,
            None if self.retry is None else self.retry.change(), _timedelta(self.timeout_seconds),
            self.metadata, self.tags,
        )  # fmt: skip


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


class JobView(Job):
    """A job. Lists leave out payload and result."""

    poll_after_seconds: int | None = Field(description="When it makes sense to ask again; null once the job has ended.")
    links: Links

    @classmethod
    def of(cls, job: Job, **changes: Any) -> JobView:
        """Show a job; `changes` replace its values."""
        return cls(**{**vars(job), "poll_after_seconds": poll_after(job), "links": _links(job), **changes})


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
        "result": f"{path}/result",
        "steps": f"{path}/steps",
        "attempts": f"{path}/attempts",
        "explain": f"{path}/explain",
        "cancel": None if job.done else f"{path}/cancel",
        "retry": f"{path}/retry" if job.status in ("dead", "cancelled") else None,
        "discard": f"{path}/discard" if job.status == "dead" else None,
    }


def _timedelta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
