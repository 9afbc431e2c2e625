"""Write how attempts ended. Completions go in batches: while one is on its way the next gathers, and no timer waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from uuid import UUID

import structlog

from esteira.database import Database
from esteira.database.outage import outage
from esteira.errors import DatabaseUnavailable, InvalidInput
from esteira.running import Claimed
from esteira_worker.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Lost,
    Released,
    Settled,
    Snoozed,
    failed,
    shown,
    unstorable,
)

# Arrays as text: the driver's binary ones look at each element in Python, 2.1 instead of 0.4 µs a job.
_COMPLETE = "select esteira.complete($1::text::uuid[], $2::text::integer[], $3::text::jsonb[], $4)"
# What shows that an attempt's ending was stored, though the reply to it was lost.
_STORED = """
select id, attempt from esteira.job where id = any($1) and status = 'completed'
union all
select job_id, attempt from esteira.attempt where job_id = any($1) and outcome not in ('crashed', 'lost')
"""
_BATCH = 1000
_BATCH_CHARACTERS = 32_000_000
# Beyond this many unsettled jobs (a database that is slow or away) nothing more is claimed.
_FULL = 5000
log = structlog.get_logger()


class Settler:
    """Settle endings, each by (id, attempt). While the database is away they wait here, and are sent again as they are.

    requeued: called when a job went back to its queue, so that the claimer looks for it at once.
    """

    def __init__(self, database: Database, requeued: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._requeued = requeued
        self._completed: list[tuple[Claimed, Completed]] = []
        self._in_flight: list[tuple[Claimed, Completed]] = []
        self._others: dict[asyncio.Task[None], Sequence[Claimed]] = {}
        self._others_count = 0
        self._work = asyncio.Event()
        self._moved = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.settled = 0

    @property
    def unsettled(self) -> int:
        """How many endings are not written yet."""
        return len(self._completed) + len(self._in_flight) + self._others_count

    def holds(self) -> set[tuple[UUID, int]]:
        """Return the (id, attempt) of the jobs whose endings are not written yet."""
        completed = {(job.id, job.attempt) for job, _ in (*self._completed, *self._in_flight)}
        return completed | {(job.id, job.attempt) for jobs in self._others.values() for job in jobs}

    def put(self, job: Claimed, ending: Ending) -> None:
        """Take an ending; returns at once."""
        if type(ending) is Completed:
            self._completed.append((job, ending))
            self._work.set()
            self._quiet.clear()
        elif isinstance(ending, Settled | Lost):
            self.settled += 1
            if isinstance(ending, Lost):
                _say_lost(job)
        elif isinstance(ending, Released):
            self.release([job])
        else:
            self._start([job], self._settle_other(job, ending))

    def release(self, jobs: Sequence[Claimed]) -> None:
        """Give jobs back uncharged; returns at once."""
        if jobs:
            self._start(jobs, _persistently(partial(self._release, jobs)))

    async def room(self) -> None:
        """Wait while too much is unsettled."""
        while self.unsettled >= _FULL:
            self._moved.clear()
            await self._moved.wait()

    async def drain(self) -> None:
        """Wait until everything is written."""
        await self._quiet.wait()

    async def run(self) -> None:
        """Settle completions until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._completed:
                count = self._batch_length()
                self._in_flight, self._completed = self._completed[:count], self._completed[count:]
                await _persistently(partial(self._complete, self._in_flight))
                self.settled += len(self._in_flight)
                self._in_flight = []
                self._moved.set()
            self._hush()

    def _batch_length(self) -> int:
        size = 0
        for count, (_, ending) in enumerate(self._completed[:_BATCH]):
            size += len(ending.result)
            if size > _BATCH_CHARACTERS:
                return count or 1
        return _BATCH

    async def _complete(self, batch: Sequence[tuple[Claimed, Completed]]) -> None:
        results = [ending.result for _, ending in batch]
        errors = [ending.result_error for _, ending in batch]
        try:
            rows = await self._database.fetch(
                _COMPLETE,
                _array(str(job.id) for job, _ in batch),
                _array(str(job.attempt) for job, _ in batch),
                # Of tasks that return nothing, nothing is sent.
                None if results.count("null") == len(batch) else _array(map(_quoted, results)),
                errors if any(errors) else None,
            )
        except InvalidInput as error:
            await self._complete_apart(batch, error)
            return
        if len(rows) < len(batch):
            done = {row[0] for row in rows}
            await self._report_lost([job for job, _ in batch if job.id not in done])

    async def _complete_apart(self, batch: Sequence[tuple[Claimed, Completed]], error: InvalidInput) -> None:
        """Halve a batch until the result that Postgres refuses is alone, and store its job without it."""
        if len(batch) == 1:
            job, ending = batch[0]
            if ending.result_error is None:
                await self._complete([(job, unstorable(str(error)))])
            else:
                self._start([job], self._settle_other(job, failed(error, retryable=False)))
            return
        middle = len(batch) // 2
        await self._complete(batch[:middle])
        await self._complete(batch[middle:])

    def _start(self, jobs: Sequence[Claimed], write: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(write)
        self._others[task] = jobs
        self._others_count += len(jobs)
        self._quiet.clear()
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        jobs = self._others.pop(task)
        self._others_count -= len(jobs)
        self.settled += len(jobs)
        self._moved.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("ending_not_written", job_ids=[str(job.id) for job in jobs], error=repr(error))
        self._hush()

    async def _settle_other(self, job: Claimed, ending: Ending) -> None:
        try:
            await _persistently(partial(self._write, job, ending))
        except InvalidInput as error:
            # Such as a snooze until after the end of time.
            await _persistently(partial(self._write, job, failed(error, retryable=False)))

    async def _write(self, job: Claimed, ending: Ending) -> None:
        token = (job.id, job.attempt)
        match ending:
            case Failed(error, traceback, retryable, outcome):
                status = await self._database.fetchval(
                    "select esteira.fail($1, $2, $3, $4, $5, $6)", *token, error, traceback, retryable, outcome
                )
                if status is not None:
                    log.warning("job_failed", **_fields(job), status=status, **shown(error))
            case Snoozed(delay):
                status = await self._database.fetchval("select esteira.snooze($1, $2, $3)", *token, delay)
            case Cancelled():
                status = await self._database.fetchval("select esteira.acknowledge_cancel($1, $2)", *token)
            case _:
                raise AssertionError(ending)
        if status == "queued":
            self._requeued()
        if status is None:
            await self._report_lost([job])

    async def _release(self, jobs: Sequence[Claimed]) -> None:
        released = await self._database.fetchval(
            "select esteira.release($1, $2)", [job.id for job in jobs], [job.attempt for job in jobs]
        )
        if released:
            self._requeued()
        if released < len(jobs):
            await self._report_lost(jobs)

    async def _report_lost(self, jobs: Sequence[Claimed]) -> None:
        rows = await self._database.fetch(_STORED, [job.id for job in jobs])
        stored = {(row["id"], row["attempt"]) for row in rows}
        for job in jobs:
            if (job.id, job.attempt) not in stored:
                _say_lost(job)

    def _hush(self) -> None:
        if not self.unsettled:
            self._quiet.set()


def _array(elements: Iterable[str]) -> str:
    return f"{{{','.join(elements)}}}"


def _quoted(element: str) -> str:
    escaped = element.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def _say_lost(job: Claimed) -> None:
    log.warning("lease_lost", **_fields(job))


def _fields(job: Claimed) -> dict[str, object]:
    return {"job_id": str(job.id), "task": job.task, "attempt": job.attempt}


async def _persistently(write: Callable[[], Awaitable[None]]) -> None:
    """Call until the database takes it: what was stored already, its reply lost, is fenced and stored no second time.

    Raises InvalidInput, which no further try can mend.
    """
    failures = 0
    while True:
        try:
            await write()
        except InvalidInput:
            raise
        except DatabaseUnavailable as error:
            outage.failed("settle", error)
        except Exception:
            log.exception("settle_failed")
        else:
            outage.succeeded("settle")
            return
        failures += 1
        await asyncio.sleep(random.uniform(0.05, min(3.0, 0.2 * 2 ** min(failures, 5))))  # noqa: S311 - no secret
