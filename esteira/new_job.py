"""A job that somebody wants, and how it goes to the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from itertools import compress
from typing import Any, Literal
from uuid import UUID

from esteira.durations import Duration, to_timedelta
from esteira.encoding import encode
from esteira.errors import ConfigurationError, InvalidInput
from esteira.job import Priority
from esteira.retry import Retry, RetryChange

OnConflict = Literal["return", "replace", "reject"]
Outcome = Literal["enqueued", "existing", "replaced", "replayed", "unique_conflict", "idempotency_mismatch"]

# JSON goes as text: the caller's connection may have a codec of its own for jsonb. Types are said, since drivers send
# them differently, or (for a column of nulls) not at all.
_ARGUMENTS = (
    ("task", "text"), ("payload", "text::jsonb"), ("queue", "text"), ("priority", "text"), ("delay", "interval"),
    ("run_at", "timestamptz"), ("max_attempts", "integer"), ("retry_first", "interval"), ("retry_max", "interval"),
    ("timeout", "interval"), ("metadata", "text::jsonb"), ("tags", "text::jsonb"), ("expires_at", "timestamptz"),
    ("unique_key", "text"), ("on_conflict", "text"), ("idempotency_key", "text"), ("atomic", "boolean"),
    ("notify", "boolean"),
)  # fmt: skip
_ENQUEUE_MANY = """
select id, queue, outcome, false as notified from esteira.enqueue_many(
    $1::text[], $2::text[]::jsonb[], $3::text[], $4::text[], $5::interval[], $6::timestamptz[], $7::integer[],
    $8::interval[], $9::interval[], $10::interval[], $11::text[]::jsonb[], $12::text[]::jsonb[], $13::timestamptz[],
    $14::text[], $15::text[], $16::text[], $17::boolean)
"""
NOTIFY = "select esteira.notify_workers($1::text[])"


# Not frozen: that would make each five times as dear, and 10,000 of them a tenth of enqueueing them.
@dataclass(slots=True)
class NewJob:
    """A job to enqueue. None means what its task declares, else Esteira's default.

    payload: anything that has a JSON form. delay: from now; or run_at: an aware datetime.
    retry: a RetryChange changes what it names and keeps the rest as the task declares it; a Retry changes all of it.
    expires_at: an aware datetime; not begun by then, the job is cancelled.
    unique_key: at most one live job of the task has it. on_conflict: what becomes of this one then: "return" (the live
    one is the answer), "replace" (the live one takes all of this over, unless it has begun), "reject".
    idempotency_key: the same request with it is answered with the same job for 24 h, another is refused.
    Raises InvalidInput for what can be seen to make no sense without asking the database.
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
        self._check_kinds()
        if self.run_at is not None:
            _check_time("run_at", self.run_at)
        if self.delay is not None:
            if self.run_at is not None:
                raise InvalidInput("give delay or run_at, not both")
            _interval(self.delay, "delay")
        if self.timeout is not None:
            _interval(self.timeout, "timeout")
        if self.expires_at is not None:
            _check_time("expires_at", self.expires_at)
            replayed = self.idempotency_key is not None
            why = too_late(self.expires_at, self.run_at, _interval(self.delay), replayed=replayed)
            if why is not None:
                raise InvalidInput(f"expires_at: {why}")

    def _check_kinds(self) -> None:
        if isinstance(self.tags, str):
            raise InvalidInput(f"tags={self.tags!r} is a word, not a list of them: write tags=[{self.tags!r}]")
        if self.metadata is not None and not isinstance(self.metadata, Mapping):
            raise InvalidInput(f"metadata={self.metadata!r} is no object: write it as in metadata={{'customer': 7}}")
        if self.retry is not None and not isinstance(self.retry, Retry | RetryChange):
            raise InvalidInput(f"retry={self.retry!r} is to be a RetryChange or a Retry, as in RetryChange(attempts=2)")
        if isinstance(self.retry, Retry) and self.retry.never_on:
            raise InvalidInput("never_on belongs to the task's declaration; a job cannot change it")


_OPTIONS = [name for name in NewJob.__dataclass_fields__ if name not in ("task", "payload")]


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


def check_options(options: Iterable[str], payload_fields: Collection[str] = ()) -> None:
    """Raise InvalidInput for what is no option of enqueue, such as a field of the payload."""
    for name in options:
        if name in payload_fields:
            raise InvalidInput(f'"{name}" is a field of the payload, which is one argument: enqueue({{"{name}": …}})')
        if name not in _OPTIONS:
            close = get_close_matches(name, _OPTIONS, 1)
            hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(_OPTIONS)}"
            raise InvalidInput(f'enqueue has no option "{name}": {hint}')


def too_late(
    expires_at: datetime | None, run_at: datetime | None, delay: timedelta | None, *, replayed: bool = False
) -> str | None:
    """Say why a job with these times would never begin, or None.

    replayed: it may have been enqueued before; then what the clock says now does not count.
    """
    if expires_at is None:
        return None
    now = datetime.now(UTC)
    if not replayed and expires_at <= now:
        return "it is past: the job would never begin"
    begins = run_at or (None if replayed else now + (delay or timedelta()))
    if begins is not None and expires_at <= begins:
        return "the job may not begin before then, so it would never begin"
    return None


def enqueue_statement(jobs: Sequence[NewJob], *, atomic: bool, notify: bool = False) -> tuple[str, Sequence[Any]]:
    """Return the statement that enqueues these jobs, one at least, and its parameters.

    notify: one job may tell the workers as it commits; the row says whether it did. Many never do.
    Raises InvalidInput for what has no JSON form or is no NewJob.
    """
    for job in jobs:
        if not isinstance(job, NewJob):
            raise InvalidInput(f"{job!r:.100} is no job: give NewJob(…), or what a task's new_job(…) returns")
    if len(jobs) == 1:
        # Only what is given: most jobs have two of 18 arguments, and nulls took 13 of 330 µs.
        # Without the task there would be no such function.
        values = (*_values(jobs[0]), None if atomic else False, notify or None)
        given = (True, *[value is not None for value in values[1:]])
        return _enqueue_one(given), tuple(compress(values, given))
    columns = zip(*map(_values, jobs), strict=True)
    # An array of nulls would cost driver and database something; and jobs without keys take a shorter way.
    arrays = [None if column.count(None) == len(jobs) else column for column in columns]
    return _ENQUEUE_MANY, (*arrays, atomic)


@lru_cache(maxsize=1000)
def _enqueue_one(given: tuple[bool, ...]) -> str:
    """Return the statement with these arguments; a program uses a few such sets."""
    arguments = ", ".join(
        f"{name} => ${number}::{kind}" for number, (name, kind) in enumerate(compress(_ARGUMENTS, given), 1)
    )
    return f"select id, queue, outcome, notified from esteira.enqueue_one({arguments})"  # noqa: S608 - names of ours


def _values(job: NewJob) -> tuple[Any, ...]:
    retry = job.retry
    return (
        job.task, encode(job.payload), job.queue, job.priority, _interval(job.delay), job.run_at,
        retry and retry.attempts, retry and retry.first, retry and retry.max, _interval(job.timeout),
        _json(job.metadata), _json(job.tags), job.expires_at, job.unique_key, job.on_conflict, job.idempotency_key,
    )  # fmt: skip


def _json(value: Any) -> str | None:
    return None if value is None else encode(value)


def _check_time(name: str, time: Any) -> None:
    if not isinstance(time, datetime):
        raise InvalidInput(f"{name} is to be a datetime with a time zone, not {time!r}")
    if time.tzinfo is None:
        raise InvalidInput(f"{name} has no time zone: {time.isoformat()}")


def _interval(duration: Duration | None, name: str = "duration") -> timedelta | None:
    try:
        return None if duration is None else to_timedelta(duration)
    except ConfigurationError as error:
        raise InvalidInput(f"{name}: {error}") from None
