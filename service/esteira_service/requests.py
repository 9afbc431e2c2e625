"""What the service reads, as JSON."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from esteira.encoding import encode
from esteira.job import Priority
from esteira.new_job import NewJob, OnConflict
from esteira.retry import RetryChange
from esteira_service.filters import Time

CENTURY_SECONDS = 3_155_760_000
LAST_YEAR = 2200
MAX_KEY = 255
# The database has the last word: to it, as to JSON Schema, letters and digits are those of ASCII.
NAME = r"^\w[\w.:/-]{0,99}$"
Name = Annotated[str, Field(pattern=NAME)]
Seconds = Annotated[float, Field(ge=0, le=CENTURY_SECONDS, allow_inf_nan=False)]

# To PostgreSQL a year of an interval has 360 days.
Kept = Annotated[float, Field(ge=1, le=100 * 360 * 86_400, allow_inf_nan=False)]


def _in_time(value: datetime) -> datetime:
    if value.year > LAST_YEAR:
        raise ValueError(f"the year {LAST_YEAR} is the last")
    return value


Moment = Annotated[Time, AfterValidator(_in_time)]


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
    run_at: Moment | None = Field(None, description="Not before this time. Up to the year 2200.")
    retry: RetryRequest | None = None
    timeout_seconds: Annotated[Seconds, Field(ge=0.001)] | None = Field(
        None, description="The longest an attempt may take."
    )
    metadata: dict[str, Any] | None = Field(None, description="Yours: stored and shown, never interpreted.")
    tags: list[str] | None = None
    expires_at: Moment | None = Field(None, description="Cancelled if it has not begun by then. Up to the year 2200.")
    unique_key: str | None = Field(
        None, min_length=1, max_length=200, description="At most one live job of the task has it."
    )
    on_conflict: OnConflict | None = Field(
        None, description="If a live job has the unique key: it is the answer, it is replaced, or this is refused."
    )
    idempotency_key: str | None = Field(
        None, min_length=1, max_length=MAX_KEY, description="As the header Idempotency-Key, for who cannot send it."
    )

    @field_validator("run_at")
    @classmethod
    def _one_time(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is not None and info.data.get("delay_seconds") is not None:
            raise ValueError("give delay_seconds or run_at, not both")
        return value

    def new_job(self) -> NewJob:
        """Say it in the client's words."""
        return NewJob(
            self.task, encode(self.payload), self.queue, self.priority, _timedelta(self.delay_seconds), self.run_at,
            None if self.retry is None else self.retry.change(), _timedelta(self.timeout_seconds),
            self.metadata, self.tags, self.expires_at, self.unique_key, self.on_conflict, self.idempotency_key,
        )  # fmt: skip


class BatchRequest(BaseModel):
    """Many jobs; each may be 1 MiB, all together 64 MiB."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"jobs": [{"task": "billing.fulfil", "payload": {"id": 1}}], "atomic": True}]},
    )

    jobs: list[JobRequest] = Field(max_length=10_000)
    atomic: bool = Field(False, description="All of them, or none.")


class QueueSettings(BaseModel):
    """What is set for a queue; it takes the place of all that was set before."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"keep_finished_seconds": 86400}]}
    )

    keep_finished_seconds: Kept | None = Field(
        None, description="How long completed and cancelled jobs are kept; left out or null: as in all other queues."
    )
    keep_dead_seconds: Kept | None = Field(
        None, description="How long dead jobs are kept; left out or null: as in all other queues."
    )


def _timedelta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
