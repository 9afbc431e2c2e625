"""A job as people are shown it, everywhere in the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from esteira.encoding import decode
from esteira.errors import InvalidInput

Status = Literal["queued", "running", "waiting", "completed", "dead", "cancelled"]
Priority = Literal["low", "normal", "high", "critical"]
FINAL: frozenset[str] = frozenset({"completed", "dead", "cancelled"})

_JSON_COLUMNS = ("payload", "result", "metadata", "error")


def check_id(job_id: UUID | str) -> UUID:
    """Return a job's id, which may be given as text. Raises InvalidInput."""
    try:
        return job_id if isinstance(job_id, UUID) else UUID(job_id)
    except (ValueError, AttributeError, TypeError):
        raise InvalidInput(f"{job_id!r} is no job's id: that is a UUID, as enqueue returns it") from None


class JobError(BaseModel):
    """The last failure of a job."""

    model_config = ConfigDict(frozen=True)

    type: str
    message: str
    # What was written by hand may have neither.
    attempt: int | None = None
    at: datetime | None = None


class Warning(BaseModel):  # noqa: A001 - the word of the interface
    """Something that a person should know of a job that is otherwise in order."""

    model_config = ConfigDict(frozen=True)

    code: str
    detail: str


class Job(BaseModel):
    """One request to run a task, as the view esteira.jobs shows it. Times are aware datetimes; progress is 0 to 1."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    queue: str
    task: str
    priority: Priority
    status: Status
    reason: str | None
    done: bool
    progress: float
    progress_message: str | None
    current_step: str | None
    attempt: int
    failures: int
    max_attempts: int
    retry_first_seconds: float
    retry_max_seconds: float
    crashes: int
    generation: int
    payload: Any = None
    metadata: dict[str, Any]
    tags: list[str]
    result: Any = None
    error: JobError | None
    unique_key: str | None
    worker_id: UUID | None
    timeout_seconds: float
    created_at: datetime
    updated_at: datetime
    run_at: datetime
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    execution_time_seconds: float | None
    warnings: list[Warning]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Job:
        """Build a job from a row of esteira.jobs; payload and result may be left out of it."""
        values = dict(row)
        for column in _JSON_COLUMNS:
            if isinstance(values.get(column), str):
                values[column] = decode(values[column])
        # Such a word, too, is somebody's own doing, and must not break the page.
        values["tags"] = [tag for tag in values["tags"] if tag is not None]
        # Four bytes in the table: what lies behind the sixth digit is noise.
        values["progress"] = round(values["progress"], 6)
        run_time = values.pop("run_time", None)
        result_error = values.pop("result_error", None)
        return cls(
            **values,
            done=values["status"] in FINAL,
            execution_time_seconds=None if run_time is None else run_time.total_seconds(),
            warnings=[] if result_error is None else [_without_result(result_error)],
        )


def _without_result(why: str) -> Warning:
    return Warning(code="RESULT_NOT_STORED", detail=f"the result could not be stored: {why}")


class Step(BaseModel):
    """A finished step of a job."""

    name: str
    attempt: int
    result: Any
    started_at: datetime
    finished_at: datetime
    duration_seconds: float


class Attempt(BaseModel):
    """An attempt that did not complete."""

    attempt: int
    outcome: str
    error: JobError | None
    traceback: str | None
    worker_id: UUID | None
    started_at: datetime
    finished_at: datetime


class Explanation(BaseModel):
    """Why a job is not running now, or what it is doing: a code for programs, a sentence for people."""

    code: str
    detail: str
