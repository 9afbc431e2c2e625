"""What a plain task may do while it runs: the same verbs as Context, without await."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from tenacity import Retrying, retry_if_not_exception_type, stop_after_attempt, wait_random_exponential

from esteira.context import PATIENCE_SECONDS, PROGRESS_INTERVAL_SECONDS
from esteira.database import SyncConnection, SyncDatabase
from esteira.encoding import encode
from esteira.errors import ConfigurationError, Interrupted
from esteira.outcomes import Outcome
from esteira.retry import Retry
from esteira.running import Claimed, Steps

T = TypeVar("T")


class SyncContext:
    """Stand for the running attempt, in a thread or a process. It holds no database session while the handler works.

    A thread cannot be stopped from outside: once the job was cancelled, timed out or taken away, the next call of any method
    raises Interrupted. Every method raises LeaseLost once the job was taken back, and DatabaseUnavailable.
    """

    def __init__(self, job: Claimed, database: SyncDatabase, steps: Sequence[str] = ()) -> None:
        self._job = job
        self._database = database
        self._steps = Steps(steps)
        self._interrupted = threading.Event()
        self._share: float | None = None
        self._message: str | None = None
        self._written_at = float("-inf")
        self.completed = False

    @property
    def job_id(self) -> UUID:
        """The job's id: with it, calls to the outside can be made idempotent."""
        return self._job.id

    @property
    def attempt(self) -> int:
        """The number of this execution, from 1."""
        return self._job.attempt

    def interrupt(self) -> None:
        """Make the next call raise Interrupted; the engine calls it."""
        self._interrupted.set()

    def check(self) -> None:
        """Raise Interrupted if the job was cancelled, timed out or taken away; for long loops that call nothing else."""
        if self._interrupted.is_set():
            raise Interrupted(f"job {self._job.id} is to stop")

    def step(self, name: str, function: Callable[[], T], *, retry: Retry | None = None) -> T:
        """Run the function once and for all: its result is stored, and a later attempt reads it instead.

        The result is given back in the type that the function declares. Raises InvalidInput, ConfigurationError.
        """
        self.check()
        returns = self._steps.begin(name, function)
        finished = self._finished()
        if name in finished:
            return returns.validate_json(finished[name])  # type: ignore[no-any-return]
        self._write(step=name)
        begun = time.monotonic()
        text = encode(_call(function, retry))
        took = timedelta(seconds=time.monotonic() - begun)
        self.check()
        self._flush()
        saved = self._database.fetchval(
            "select esteira.save_step(%s, %s, %s, %s, esteira.now() - %s::interval, %s::real)",
            self._job.id, self._job.attempt, name, text, took, self._steps.progress_after(name),
            patience=PATIENCE_SECONDS,
        )  # fmt: skip
        if not saved:
            raise self._job.lease_lost()
        return returns.validate_json(text)  # type: ignore[no-any-return]

    def step_transaction(self, name: str, function: Callable[[SyncConnection], T]) -> T:
        """Run the function with a psycopg connection in a transaction: its writes and the checkpoint are one commit."""
        self.check()
        returns = self._steps.begin(name, function)
        finished = self._finished()
        if name in finished:
            return returns.validate_json(finished[name])  # type: ignore[no-any-return]
        with self._database.transaction() as connection:
            text = encode(function(connection))
            self.check()
            saved = connection.execute(
                "select esteira.save_step(%s, %s, %s, %s, now(), %s::real)",
                (self._job.id, self._job.attempt, name, text, self._steps.progress_after(name)),
            ).fetchone()
            if saved is None or not saved[0]:
                raise self._job.lease_lost()
        return returns.validate_json(text)  # type: ignore[no-any-return]

    @contextmanager
    def transaction(self) -> Iterator[SyncTransaction]:
        """Open the completing transaction: the handler's writes and the job's completion commit together, or not at all.

        Call `tx.complete(value)` in it. Leaving the block commits both, or raises LeaseLost and keeps nothing.
        """
        self.check()
        with self._database.transaction() as connection:
            token = (self._job.id, self._job.attempt)
            held = connection.execute("select esteira.hold(%s, %s)", token).fetchone()
            if held is None or not held[0]:
                raise self._job.lease_lost()
            tx = SyncTransaction(connection)
            yield tx
            if tx.result is None:
                raise ConfigurationError("the block ended without tx.complete(…); for writes that do not end the job use ctx.step_transaction")
            settled = connection.execute(
                "select esteira.complete(array[%s::uuid], array[%s::integer], array[%s::jsonb])", (*token, tx.result)
            ).fetchone()
            if settled is None:
                raise self._job.lease_lost()
        self.completed = True

    def progress(self, share: float | None = None, message: str | None = None) -> None:
        """Show how far the job is: 0 to 1, and a message. Written at most four times a second, flushed at steps."""
        self.check()
        if share is not None and not 0 <= share <= 1:
            raise ConfigurationError(f"progress is a share from 0 to 1, not {share}")
        self._share = self._share if share is None else share
        self._message = message or self._message
        if time.monotonic() - self._written_at >= PROGRESS_INTERVAL_SECONDS:
            self._flush()

    def close(self) -> None:
        """Write what progress is left; the engine calls it when the handler is done."""
        self._flush()

    def _flush(self) -> None:
        if self._share is not None or self._message is not None:
            self._write()

    def _write(self, step: str | None = None) -> None:
        self._written_at = time.monotonic()
        share, message = self._share, self._message
        self._share = self._message = None
        held = self._database.fetchval(
            "select esteira.progress(%s, %s, %s::real, %s, %s)", self._job.id, self._job.attempt, share, message, step, patience=5
        )
        if not held:
            raise self._job.lease_lost()

    def _finished(self) -> dict[str, str]:
        if self._steps.finished is None:
            rows = [] if self._job.attempt == 1 else self._database.fetchall(
                "select name, result::text from esteira.step where job_id = %s", self._job.id, patience=PATIENCE_SECONDS
            )  # fmt: skip
            self._steps.finished = {row[0]: row[1] for row in rows}
        return self._steps.finished


class SyncTransaction:
    """The completing transaction: SQL on its psycopg connection, and `complete`. Placeholders are %s."""

    def __init__(self, connection: SyncConnection) -> None:
        self.connection = connection
        self.result: str | None = None

    def execute(self, query: str, *args: object) -> Any:
        """Run a statement and return psycopg's cursor."""
        return self.connection.execute(query.encode(), args or None)

    def complete(self, value: Any = None) -> None:
        """Set the job's result; it is stored when the block ends. Raises InvalidInput where it has no JSON form."""
        self.result = encode(value)


def _call(function: Callable[[], T], retry: Retry | None) -> T:
    if retry is None:
        return function()
    return Retrying(
        stop=stop_after_attempt(retry.attempts),
        wait=wait_random_exponential(multiplier=retry.first.total_seconds(), max=retry.max.total_seconds()),
        retry=retry_if_not_exception_type((*retry.never_on, Outcome, Interrupted)),
        reraise=True,
    )(function)
