"""What an async task may do while it runs: checkpoints, progress, the completing transaction."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import structlog
from tenacity import AsyncRetrying, retry_if_not_exception_type, stop_after_attempt, wait_random_exponential

from esteira.database import Connection, Database
from esteira.durations import Duration, to_seconds
from esteira.encoding import encode
from esteira.errors import ConfigurationError, EsteiraError
from esteira.outcomes import Outcome
from esteira.retry import Retry
from esteira.running import Claimed, Steps

T = TypeVar("T")
log = structlog.get_logger()

# A step may be the work of an hour: its checkpoint waits out a restart of the database.
PATIENCE_SECONDS = 60.0
PROGRESS_INTERVAL_SECONDS = 0.25


class Context:
    """Stand for the running attempt. It holds no database session while the handler works.

    Every method raises LeaseLost once the job was taken back, and DatabaseUnavailable.
    """

    def __init__(self, job: Claimed, database: Database, steps: Sequence[str] = ()) -> None:
        self._job = job
        self._database = database
        self._steps = Steps(steps)
        self._progress = _Progress(job, database)
        self.completed = False

    @property
    def job_id(self) -> UUID:
        """The job's id: with it, calls to the outside can be made idempotent."""
        return self._job.id

    @property
    def attempt(self) -> int:
        """The number of this execution, from 1."""
        return self._job.attempt

    async def step(
        self,
        name: str,
        function: Callable[[], Awaitable[T] | T],
        *,
        retry: Retry | None = None,
        timeout: Duration | None = None,  # noqa: ASYNC109 - of the step, each try
    ) -> T:
        """Run the function once and for all: its result is stored, and a later attempt reads it instead.

        A plain function runs off the loop. `retry` tries again within this attempt. The result is given back in the type that
        the function declares, on the first run too, so that a replay sees the same.
        Raises TimeoutError, InvalidInput for a result that has no JSON form, ConfigurationError for a name used twice.
        """
        returns = self._steps.begin(name, function)
        finished = await self._finished()
        if name in finished:
            return returns.validate_json(finished[name])  # type: ignore[no-any-return]
        self._progress.note(step=name)
        begun = asyncio.get_running_loop().time()
        text = encode(await _call(function, retry, timeout))
        took = timedelta(seconds=asyncio.get_running_loop().time() - begun)
        await self._progress.flush()
        saved = await self._database.fetchval(
            "select esteira.save_step($1, $2, $3, $4, esteira.now() - $5::interval, $6)",
            self._job.id, self._job.attempt, name, text, took, self._steps.progress_after(name),
            patience=PATIENCE_SECONDS,
        )  # fmt: skip
        if not saved:
            raise self._job.lease_lost()
        return returns.validate_json(text)  # type: ignore[no-any-return]

    async def step_transaction(self, name: str, function: Callable[[Connection], Awaitable[T]]) -> T:
        """Run the function with a connection in a transaction: its writes and the checkpoint are one commit.

        Like `step` it runs once and for all; a later attempt reads the result.
        """
        returns = self._steps.begin(name, function)
        finished = await self._finished()
        if name in finished:
            return returns.validate_json(finished[name])  # type: ignore[no-any-return]
        self._progress.note(step=name)
        async with self._database.acquire() as connection, connection.transaction():
            text = encode(await function(connection))
            saved = await connection.fetchval(
                "select esteira.save_step($1, $2, $3, $4, now(), $5)",
                self._job.id, self._job.attempt, name, text, self._steps.progress_after(name),
            )  # fmt: skip
            if not saved:
                raise self._job.lease_lost()
        return returns.validate_json(text)  # type: ignore[no-any-return]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open the completing transaction: the handler's writes and the job's completion commit together, or not at all.

        Call `tx.complete(value)` in it. Leaving the block commits both, or raises LeaseLost and keeps nothing.
        """
        async with self._database.acquire() as connection, connection.transaction():
            if not await connection.fetchval("select esteira.hold($1, $2)", self._job.id, self._job.attempt):
                raise self._job.lease_lost()
            tx = Transaction(connection)
            yield tx
            if tx.result is None:
                raise ConfigurationError("the block ended without tx.complete(…); for writes that do not end the job use ctx.step_transaction")
            settled = await connection.fetchval(
                "select esteira.complete(array[$1::uuid], array[$2::integer], array[$3::jsonb])", self._job.id, self._job.attempt, tx.result
            )
            if settled is None:
                raise self._job.lease_lost()
        self.completed = True

    async def progress(self, share: float | None = None, message: str | None = None) -> None:
        """Show how far the job is: 0 to 1, and a message. Written at most four times a second, the latest wins."""
        if share is not None and not 0 <= share <= 1:
            raise ConfigurationError(f"progress is a share from 0 to 1, not {share}")
        self._progress.note(share=share, message=message)
        if self._progress.lost:
            raise self._job.lease_lost()

    async def close(self) -> None:
        """Write what progress is left; the engine calls it when the handler is done."""
        await self._progress.flush()

    async def _finished(self) -> dict[str, str]:
        if self._steps.finished is None:
            # A first attempt has none.
            rows = [] if self._job.attempt == 1 else await self._database.fetch(
                "select name, result from esteira.step where job_id = $1", self._job.id, patience=PATIENCE_SECONDS
            )  # fmt: skip
            self._steps.finished = {row["name"]: row["result"] for row in rows}
        return self._steps.finished


class Transaction:
    """The completing transaction: SQL on its connection, and `complete`. Placeholders are $1, $2, …"""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
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
        """Set the job's result; it is stored when the block ends. Raises InvalidInput where it has no JSON form."""
        self.result = encode(value)


class _Progress:
    """Coalesce progress: the first note is written soon, later ones at most every quarter of a second, flushed at steps."""

    def __init__(self, job: Claimed, database: Database) -> None:
        self._job = job
        self._database = database
        self._share: float | None = None
        self._message: str | None = None
        self._step: str | None = None
        self._writer: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self.lost = False

    def note(self, *, share: float | None = None, message: str | None = None, step: str | None = None) -> None:
        self._share = self._share if share is None else share
        self._message = message or self._message
        self._step = step or self._step
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def flush(self) -> None:
        if self._writer is not None:
            self._wake.set()
            await self._writer
            self._wake.clear()

    async def _write(self) -> None:
        while self._share is not None or self._message is not None or self._step is not None:
            share, message, step = self._share, self._message, self._step
            self._share = self._message = self._step = None
            try:
                held = await self._database.fetchval(
                    "select esteira.progress($1, $2, $3, $4, $5)", self._job.id, self._job.attempt, share, message, step
                )
                self.lost = not held
            except EsteiraError as error:
                log.warning("progress_not_written", job_id=str(self._job.id), attempt=self._job.attempt, error=str(error))
            if not self._wake.is_set():
                try:
                    async with asyncio.timeout(PROGRESS_INTERVAL_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    pass


async def _call(function: Callable[[], Any], retry: Retry | None, timeout: Duration | None) -> Any:  # noqa: ASYNC109
    if retry is None:
        return await _try(function, timeout)
    async for attempt in AsyncRetrying(
        stop=stop_after_attempt(retry.attempts),
        wait=wait_random_exponential(multiplier=retry.first.total_seconds(), max=retry.max.total_seconds()),
        retry=retry_if_not_exception_type((*retry.never_on, Outcome)),
        reraise=True,
    ):
        with attempt:
            return await _try(function, timeout)
    raise AssertionError("tenacity returns or raises")


async def _try(function: Callable[[], Any], timeout: Duration | None) -> Any:  # noqa: ASYNC109
    async with asyncio.timeout(None if timeout is None else to_seconds(timeout)):
        value = function() if _is_async(function) else await asyncio.to_thread(function)
        return await value if inspect.isawaitable(value) else value


def _is_async(function: Any) -> bool:
    while hasattr(function, "func"):
        function = function.func
    return inspect.iscoroutinefunction(function)
