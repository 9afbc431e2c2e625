"""A job that somebody wants, and how it goes to the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from esteira.durations import Duration, to_timedelta
from esteira.encoding import encode
from esteira.errors import InvalidInput
from esteira.job import Priority
from esteira.retry import Retry, RetryChange

# JSON goes as text: the caller's connection may have a codec of its own for jsonb. Types are said, since drivers send
# them differently, or (for a column of nulls) not at all.
ENQUEUE = """
select id, queue from esteira.enqueue_many(
    $1::text[], $2::text[]::jsonb[], $3::text[], $4::text[], $5::interval[], $6::timestamptz[], $7::integer[],
    $8::interval[], $9::interval[], $10::interval[], $11::text[]::jsonb[], $12::text[]::jsonb[])
"""
NOTIFY = "select esteira.notify_workers($1::text[])"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. None means what its task declares, else Esteira's default.

    payload: anything that has a JSON form. delay: from now; run_at: an aware datetime; the later counts.
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

    def __post_init__(self) -> None:
        if self.run_at is not None and self.run_at.tzinfo is None:
            raise InvalidInput(f"run_at has no time zone: {self.run_at.isoformat()}")
        if isinstance(self.retry, Retry) and self.retry.never_on:
            raise InvalidInput("never_on belongs to the task's declaration; a job cannot change it")


def columns(jobs: Sequence[NewJob]) -> list[list[Any]]:
    """Return the parameters of ENQUEUE. Raises InvalidInput for what has no JSON form that can be stored."""
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
    ]


def _interval(duration: Duration | None) -> timedelta | None:
    return None if duration is None else to_timedelta(duration)
