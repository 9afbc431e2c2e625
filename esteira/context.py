"""What an async task may do while it runs: checkpoints, progress, the completing transaction."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, overload
from uuid import UUID

from tenacity import AsyncRetrying

from esteira.database import Connection, Database, translated
from esteira.durations import Duration, to_seconds
from esteira.encoding import encode
from esteira.errors import ConfigurationError
from esteira.progress import Note, Progress
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
from esteira.threads import in_thread

T = TypeVar("T")


class Context:
    """Stand for the running attempt. It holds no database session while the handler works.

    Every method raises LeaseLost once the job was taken back, and DatabaseUnavailable.
    """

    def __init__(
        self, job: Claimed, database: Database, steps: Sequence[str] = (), signature: Signature | None = None
    ) -> None:
        self._job = job
        self._signature = signature
        self._database = database
        self._steps = Steps(steps)
        self._progress = Progress(job, database)
        self.completed = False

    @property
    def job_id(self) -> UUID:
        """The job's id: with it, calls to the outside can be made idempotent."""
        return self._job.id

    @property
    def attempt(self) -> int:
        """The number of this execution, from 1."""
        return self._job.attempt

    @overload
    async def step(
        self,
        name: str,
        function: Callable[[], Awaitable[T]],
        *,
        retry: Retry | None = None,
        timeout: Duration | None = None,  # noqa: ASYNC109 - as below
    ) -> T: ...
    @overload
    async def step(
        self,
        name: str,
        function: Callable[[], T],
        *,
        retry: Retry | None = None,
        timeout: Duration | None = None,  # noqa: ASYNC109 - as below
    ) -> T: ...
    async def step(
        self,
        name: str,
        function: Callable[[], Any],
        *,
        retry: Retry | None = None,
        timeout: Duration | None = None,  # noqa: ASYNC109 - of the step, each try
    ) -> Any:
        """Run the function once and for all: its result is stored, and a later attempt reads it instead.

        A plain function runs off the loop. `retry` tries again within this attempt. The result is given back in the
        type that the function declares, on the first run too, so that a replay sees the same.
        Raises TimeoutError (a plain function's thread is left behind then), InvalidInput for a result that has no JSON
        form or is not what the function declares, ConfigurationError for a name used twice.
        """
        step = self._begin(name, function)
        stored = await self._stored(name)
        if stored is not None:
            return step.decode(stored)
        text, value = step.encode(await _call(function, retry, timeout))
        await self._progress.flush()
        saved = await self._database.fetchval(SAVE_STEP, *self._checkpoint(step, text), patience=PATIENCE_SECONDS)
        if not saved:
            raise self._job.lease_lost()
        return value

    async def step_transaction(self, name: str, function: Callable[[Connection], Awaitable[T]]) -> T:
        """Run the function with a connection in a transaction: its writes and the checkpoint are one commit.

        Like `step` it runs once and for all; a later attempt reads the result.
        """
        step = self._begin(name, function)
        stored = await self._stored(name)
        if stored is not None:
            return step.decode(stored)  # type: ignore[no-any-return]
        await self._progress.flush()
        async with self._database.acquire(patience=PATIENCE_SECONDS) as connection, connection.transaction():
            text, value = step.encode(await function(connection))
            with translated():
                saved = await connection.fetchval(SAVE_STEP, *self._checkpoint(step, text))
            if not saved:
                raise self._job.lease_lost()
        return value  # type: ignore[no-any-return]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open the completing transaction: the handler's writes and the job's completion commit together or not at all.

        Call `await tx.complete(value)` in it. Leaving the block commits both, or raises LeaseLost and keeps nothing.
        Without that call it keeps nothing either, and raises ConfigurationError.
        """
        self._check()
        await self._progress.flush()
        token = (self._job.id, self._job.attempt)
        with self._steps.completing():
            async with self._database.acquire(patience=PATIENCE_SECONDS) as connection, connection.transaction():
                with translated():
                    held = await connection.fetchval(HOLD, *token)
                if not held:
                    raise self._job.lease_lost()
                tx = Transaction(connection, self._signature)
                yield tx
                result = required(tx.result)
                with translated():
                    settled = await connection.fetchval(COMPLETE, *token, result)
                if settled is None:
                    raise self._job.lease_lost()
        self.completed = True

    async def progress(self, share: float | None = None, message: str | None = None) -> None:
        """Show how far the job is: 0 to 1, and a message. Written at most four times a second, the latest wins.

        Raises ConfigurationError for what is no share, InvalidInput for a message that cannot be shown.
        """
        self._check()
        check_progress(share, message)
        self._progress.note(Note(share, message))

    async def close(self) -> None:
        """Write what progress is left; the engine calls it when the handler is done."""
        if self.completed:
            self._progress.discard()
        else:
            await self._progress.close()

    def _check(self) -> None:
        if self.completed:
            raise ConfigurationError(f"job {self._job.id} is complete: nothing can follow its completing transaction")
        if self._progress.lost:
            raise self._job.lease_lost()

    def _begin(self, name: str, function: Callable[..., Any]) -> Step:
        self._check()
        return self._steps.begin(name, function)

    async def _stored(self, name: str) -> str | None:
        """Return the result that an earlier attempt stored; otherwise show that the step begins."""
        if self._steps.finished is None:
            # A first attempt has none.
            first = self._job.attempt == 1
            rows = [] if first else await self._database.fetch(STEPS, self._job.id, patience=PATIENCE_SECONDS)
            self._steps.remember({row["name"]: row["result"] for row in rows})
        stored = self._steps.finished.get(name) if self._steps.finished else None
        if stored is None:
            self._progress.note(Note(step=name))
        return stored

    def _checkpoint(self, step: Step, text: str) -> tuple[Any, ...]:
        share = self._steps.share_after(step.name)
        return self._job.id, self._job.attempt, step.name, text, step.took(), share


class Transaction:
    """The completing transaction: SQL on its connection, and `complete`. Placeholders are written $1, $2."""

    def __init__(self, connection: Connection, signature: Signature | None = None) -> None:
        self.connection = connection
        self._signature = signature
        self.result: str | None = None

    async def execute(self, query: str, *args: object) -> str:
        """Run a statement; returns Postgres's command tag."""
        return await self.connection.execute(query, *args)

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """Run a statement and return its rows."""
        return await self.connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: object) -> Any:
        """Run a statement and return its first row, or None."""
        return await self.connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object) -> Any:
        """Run a statement and return the first value of its first row, or None."""
        return await self.connection.fetchval(query, *args)

    async def complete(self, value: Any = None) -> None:
        """Set the job's result; it is stored when the block ends.

        Raises InvalidInput where it has no JSON form or is not what the task declares to return (None: nothing).
        """
        text = encode(value)
        if self._signature is not None:
            self._signature.check_completion(text)
        self.result = text


async def _call(function: Callable[[], Any], retry: Retry | None, timeout: Duration | None) -> Any:  # noqa: ASYNC109
    if retry is None:
        return await _try(function, timeout)
    async for attempt in AsyncRetrying(**tries(retry)):
        with attempt:
            return await _try(function, timeout)
    raise AssertionError("tenacity returns or raises")


async def _try(function: Callable[[], Any], timeout: Duration | None) -> Any:  # noqa: ASYNC109
    async with asyncio.timeout(None if timeout is None else to_seconds(timeout)):
        value = function() if inspect.iscoroutinefunction(function) else await in_thread(function)
        return await value if inspect.isawaitable(value) else value
