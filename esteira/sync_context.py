"""What a plain task may do while it runs: the same verbs as Context, without await."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

from tenacity import Retrying, sleep_using_event

from esteira.database import SyncConnection, SyncDatabase, sync_fetch_with
from esteira.encoding import encode
from esteira.errors import ConfigurationError, Interrupted
from esteira.progress import Note, SyncProgress
from esteira.retry import Retry
from esteira.running import (
    COMPLETE,
    HOLD,
    PATIENCE_SECONDS,
    SAVE_STEP,
    STEPS,
    Claimed,
    Step,
    Steps,
    check_progress,
    required,
    tries,
)
from esteira.signature import Signature

T = TypeVar("T")


class SyncContext:
    """Stand for the running attempt, in a thread or a process. It holds no database session while the handler works.

    A thread cannot be stopped from outside: once the job was cancelled, timed out or taken away, the next call of any
    method raises Interrupted. Every method raises LeaseLost once the job was taken back, and DatabaseUnavailable.
    """

    def __init__(
        self, job: Claimed, database: SyncDatabase, steps: Sequence[str] = (), signature: Signature | None = None
    ) -> None:
        self._job = job
        self._signature = signature
        self._database = database
        self._steps = Steps(steps)
        self._progress = SyncProgress(job, database)
        self._interrupted = threading.Event()
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
        """Raise Interrupted if the job was cancelled, timed out or taken away; for loops that call nothing else."""
        if self._interrupted.is_set():
            raise Interrupted(f"job {self._job.id} is to stop")

    def step(self, name: str, function: Callable[[], T], *, retry: Retry | None = None) -> T:
        """Run the function once and for all: its result is stored, and a later attempt reads it instead.

        `retry` tries again within this attempt. The result is given back in the type that the function declares, on the
        first run too, so that a replay sees the same. Raises InvalidInput for a result that has no JSON form or is not
        what the function declares, ConfigurationError for a name used twice.
        """
        step = self._begin(name, function)
        stored = self._stored(name)
        if stored is not None:
            return step.decode(stored)  # type: ignore[no-any-return]
        text, value = step.encode(self._call(function, retry))
        self.check()
        self._progress.flush()
        if not self._database.fetchval(SAVE_STEP, *self._checkpoint(step, text), patience=PATIENCE_SECONDS):
            raise self._job.lease_lost()
        return value  # type: ignore[no-any-return]

    def step_transaction(self, name: str, function: Callable[[SyncConnection], T]) -> T:
        """Run the function with a psycopg connection in a transaction: its writes and the checkpoint are one commit.

        Like `step` it runs once and for all; a later attempt reads the result.
        """
        step = self._begin(name, function)
        stored = self._stored(name)
        if stored is not None:
            return step.decode(stored)  # type: ignore[no-any-return]
        self._progress.flush()
        with self._database.acquire(patience=PATIENCE_SECONDS) as connection, connection.transaction():
            text, value = step.encode(function(connection))
            self.check()
            if not _ask(connection, SAVE_STEP, *self._checkpoint(step, text)):
                raise self._job.lease_lost()
        return value  # type: ignore[no-any-return]

    @contextmanager
    def transaction(self) -> Iterator[SyncTransaction]:
        """Open the completing transaction: the handler's writes and the job's completion commit together or not at all.

        Call `tx.complete(value)` in it. Leaving the block commits both, or raises LeaseLost and keeps nothing. Without
        that call it keeps nothing either, and raises ConfigurationError.
        """
        self._check()
        self._progress.flush()
        token = (self._job.id, self._job.attempt)
        lent = self._database.acquire(patience=PATIENCE_SECONDS)
        with self._steps.completing(), lent as connection, connection.transaction():
            if not _ask(connection, HOLD, *token):
                raise self._job.lease_lost()
            tx = SyncTransaction(connection, self._signature)
            yield tx
            if not _ask(connection, COMPLETE, *token, required(tx.result)):
                raise self._job.lease_lost()
        self.completed = True

    def progress(self, share: float | None = None, message: str | None = None) -> None:
        """Show how far the job is: 0 to 1, and a message. Written at most four times a second, the latest wins.

        Raises ConfigurationError for what is no share, InvalidInput for a message that cannot be shown.
        """
        self._check()
        check_progress(share, message)
        self._progress.note(Note(share, message))
        self._check()

    def close(self) -> None:
        """Write what progress is left; the engine calls it when the handler is done."""
        if self.completed:
            self._progress.discard()
        else:
            self._progress.flush()

    def _check(self) -> None:
        self.check()
        if self.completed:
            raise ConfigurationError(f"job {self._job.id} is complete: nothing can follow its completing transaction")
        if self._progress.lost:
            raise self._job.lease_lost()

    def _begin(self, name: str, function: Callable[..., Any]) -> Step:
        self._check()
        return self._steps.begin(name, function)

    def _stored(self, name: str) -> str | None:
        """Return the result that an earlier attempt stored; otherwise show that the step begins."""
        if self._steps.finished is None:
            # A first attempt has none.
            first = self._job.attempt == 1
            rows = [] if first else self._database.fetch(STEPS, self._job.id, patience=PATIENCE_SECONDS)
            self._steps.remember({row["name"]: row["result"] for row in rows})
        stored = self._steps.finished.get(name) if self._steps.finished else None
        if stored is None:
            self._progress.note(Note(step=name))
            self._check()
        return stored

    def _checkpoint(self, step: Step, text: str) -> tuple[Any, ...]:
        share = self._steps.share_after(step.name)
        return self._job.id, self._job.attempt, step.name, text, step.took(), share

    def _call(self, function: Callable[[], T], retry: Retry | None) -> T:
        if retry is None:
            return function()

        def once_more() -> T:
            self.check()
            return function()

        return Retrying(sleep=sleep_using_event(self._interrupted), **tries(retry))(once_more)


class SyncTransaction:
    """The completing transaction: SQL on its psycopg connection, and `complete`. Placeholders are %s."""

    def __init__(self, connection: SyncConnection, signature: Signature | None = None) -> None:
        self.connection = connection
        self._signature = signature
        self.result: str | None = None

    def execute(self, query: str, *args: object) -> Any:
        """Run a statement and return psycopg's cursor."""
        return self.connection.execute(query.encode(), args or None)

    def complete(self, value: Any = None) -> None:
        """Set the job's result; it is stored when the block ends.

        Raises InvalidInput where it has no JSON form or is not what the task declares to return (None: nothing).
        """
        text = encode(value)
        if self._signature is not None:
            self._signature.check_completion(text)
        self.result = text


def _ask(connection: SyncConnection, statement: str, *args: object) -> Any:
    rows: Sequence[Any] = sync_fetch_with(connection, statement, *args)
    return next(iter(rows[0].values())) if rows else None
