"""A job that somebody wants, and how it goes to the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from esteira.durations import Duration, to_timedelta
from esteira.encoding import encode
from esteira.errors import InvalidInput
from esteira.job import Priority
from esteira.retry import Retry, RetryChange

OnConflict = Literal["return", "replace", "reject"]
Outcome = Literal["enqueued", "existing", "replaced", "replayed", "unique_conflict", "idempotency_mismatch"]

# JSON goes as text: the caller's connection may have a codec of its own for jsonb. Types are said, since drivers send
# them differently, or (for a column of nulls) not at all.
ENQUEUE = """
select id, queue, outcome from esteira.enqueue_many(
    $1::text[], $2::text[]::jsonb[], $3::text[], $4::text[], $5::interval[], $6::timestamptz[], $7::integer[],
    $8::interval[], $9::interval[], $10::interval[], $11::text[]::jsonb[], $12::text[]::jsonb[], $13::timestamptz[],
    $14::text[], $15::text[], $16::text[], $17::boolean)
"""
NOTIFY = "select esteira.notify_workers($1::text[])"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. None means what its task declares, else Esteira's default.

    payload: anything that has a JSON form. delay: from now; run_at: an aware datetime; the later counts.
    expires_at: an aware datetime; not begun by then, the job is cancelled.
    unique_key: at most one live job of the task has it. on_conflict: what becomes of this one then: "return" (the live
    one is the answer), "replace" (the live one takes all of this over, unless it has begun), "reject".
    idempotency_key: the same request with it is answered with the same job for 24 h, another is refused.
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
    expires_at: datetime | None = None
    unique_key: str | None = None
    on_conflict: OnConflict | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        for name, time in (("run_at", self.run_at), ("expires_at", self.expires_at)):
            if time is not None and time.tzinfo is None:
                raise InvalidInput(f"{name} has no time zone: {time.isoformat()}")
        if isinstance(self.retry, Retry) and self.retry.never_on:
            raise InvalidInput("never_on belongs to the task's declaration; a job cannot change it")


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of a job that was to be enqueued.

    outcome: enqueued; existing, replaced (a live job has its unique key, and `id`); replayed (the idempotency key was
    used for the same before). Refused are unique_conflict and idempotency_mismatch, where `id` is the job in the way.
    """

    id: UUID
    outcome: Outcome

    @property
    def refused(self) -> bool:
        """Tell whether there is no such job."""
        return self.outcome in ("unique_conflict", "idempotency_mismatch")


def columns(jobs: Sequence[NewJob]) -> list[list[Any] | None]:
    """Return the parameters of ENQUEUE but the last. Raises InvalidInput for what has no JSON form."""
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
        [job.expires_at for job in jobs],
        _if_any([job.unique_key for job in jobs]),
        _if_any([job.on_conflict for job in jobs]),
        _if_any([job.idempotency_key for job in jobs]),
    ]


def _if_any(values: list[Any]) -> list[Any] | None:
    """Return None for none at all: jobs without keys take a shorter way."""
    return values if any(value is not None for value in values) else None


def _interval(duration: Duration | None) -> timedelta | None:
    return None if duration is None else to_timedelta(duration)
