"""Write how attempts ended. Completions go in batches: while one is on its way the next gathers, and no timer waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from uuid import UUID

import structlog

from esteira.database import Database
from esteira.errors import DatabaseUnavailable, EsteiraError, InvalidInput
from esteira.running import Claimed
from esteira_worker.endings import Cancelled, Completed, Ending, Failed, Released, Settled, Snoozed, clean

_COMPLETE = "select esteira.complete($1, $2, $3, $4)"
_BATCH = 1000
# Beyond this many unsettled jobs (a database that is slow or away) nothing more is claimed.
_FULL = 5000
log = structlog.get_logger()


class Settler:
    """Settle endings, each by (id, attempt). While the database is away they wait here, and are sent again with the same token.

    requeued: called when a job went back to its queue, so that the claimer looks for it at once.
    """

    def __init__(self, database: Database, requeued: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._requeued = requeued
        self._completed: list[tuple[Claimed, Completed]] = []
        self._in_flight: list[tuple[Claimed, Completed]] = []
        self._others: dict[UUID, asyncio.Task[None]] = {}
        self._work = asyncio.Event()
        self._moved = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.settled = 0

    @property
    def unsettled(self) -> int:
        """How many endings are not written yet."""
        return len(self._completed) + len(self._in_flight) + len(self._others)

    def holds(self) -> set[UUID]:
        """Return the ids of the jobs whose endings are not written yet."""
        return {job.id for job, _ in (*self._completed, *self._in_flight)} | set(self._others)

    def put(self, job: Claimed, ending: Ending) -> None:
        """Take an ending; returns at once."""
        if type(ending) is Completed:
            self._completed.append((job, ending))
            self._work.set()
            self._quiet.clear()
        elif type(ending) is not Settled:
            self._quiet.clear()
            self._others[job.id] = asyncio.create_task(self._settle_other(job, ending))
        else:
            self.settled += 1

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
                self._in_flight, self._completed = self._completed[:_BATCH], self._completed[_BATCH:]
                await _persistently(self._settle_batch)
                self.settled += len(self._in_flight)
                self._in_flight = []
                self._moved.set()
            self._hush()

    async def _settle_batch(self, *, again: bool) -> None:
        batch = self._in_flight
        try:
            done = await self._complete(batch)
        except InvalidInput:
            # One result that Postgres refuses must not hold up the others, nor its own job.
            for job, ending in batch:
                await self._settle_one(job, ending)
            return
        if len(done) < len(batch):
            await self._report_lost([job for job, _ in batch if job.id not in done], again=again)

    async def _settle_one(self, job: Claimed, ending: Completed) -> None:
        try:
            done = await self._complete([(job, ending)])
        except InvalidInput as error:
            refused = Completed("null", f"the result could not be stored: {clean(str(error), 1000)}")
            done = await self._complete([(job, refused)])
        if not done:
            await self._report_lost([job], again=False)

    async def _complete(self, batch: list[tuple[Claimed, Completed]]) -> set[UUID]:
        rows = await self._database.fetch(
            _COMPLETE,
            [job.id for job, _ in batch],
            [job.attempt for job, _ in batch],
            [ending.result for _, ending in batch],
            [ending.result_error for _, ending in batch],
        )
        return {row[0] for row in rows}

    async def _report_lost(self, jobs: list[Claimed], *, again: bool) -> None:
        if again:
            # The reply to the first try was lost: what it stored is no lost lease.
            rows = await self._database.fetch(
                "select id, attempt from esteira.job where id = any($1) and status = 'completed'", [job.id for job in jobs]
            )
            stored = {(row["id"], row["attempt"]) for row in rows}
            jobs = [job for job in jobs if (job.id, job.attempt) not in stored]
        for job in jobs:
            log.warning("lease_lost", job_id=str(job.id), task=job.task, attempt=job.attempt)

    async def _settle_other(self, job: Claimed, ending: Ending) -> None:
        try:
            await _persistently(lambda again: self._write(job, ending, again=again))
        except EsteiraError as error:
            log.error("ending_not_written", job_id=str(job.id), task=job.task, attempt=job.attempt, error=str(error))
        finally:
            self.settled += 1
            del self._others[job.id]
            self._moved.set()
            self._hush()

    async def _write(self, job: Claimed, ending: Ending, *, again: bool) -> None:
        match ending:
            case Failed():
                status = await self._database.fetchval(
                    "select esteira.fail($1, $2, $3, $4, $5, $6)",
                    job.id, job.attempt, ending.error, ending.traceback, ending.retryable, ending.outcome,
                )  # fmt: skip
                log.warning("job_failed", job_id=str(job.id), task=job.task, attempt=job.attempt, status=status)
            case Snoozed():
                status = await self._database.fetchval("select esteira.snooze($1, $2, $3)", job.id, job.attempt, ending.delay)
            case Cancelled():
                status = await self._database.fetchval("select esteira.acknowledge_cancel($1, $2)", job.id, job.attempt)
            case Released():
                status = await self._database.fetchval("select esteira.release(array[$1::uuid], array[$2::integer])", job.id, job.attempt) or None
            case _:
                raise AssertionError(ending)
        if status == "queued":
            self._requeued()
        if status is None and not (again and await self._ended(job)):
            log.warning("lease_lost", job_id=str(job.id), task=job.task, attempt=job.attempt)

    async def _ended(self, job: Claimed) -> bool:
        """The attempt's own row is the evidence that the first try was stored."""
        return bool(
            await self._database.fetchval(
                "select exists (select from esteira.attempt where job_id = $1 and attempt = $2)", job.id, job.attempt
            )
        )

    def _hush(self) -> None:
        if not self.unsettled:
            self._quiet.set()


async def _persistently(write: Callable[..., object]) -> None:
    """Call until the database answers; each further time with again=True, since the one before may have been stored."""
    failures = 0
    while True:
        try:
            await write(again=failures > 0)  # type: ignore[misc]
            return
        except DatabaseUnavailable as error:
            failures += 1
            log.warning("settle_waits", error=str(error))
            await asyncio.sleep(random.uniform(0.05, min(3.0, 0.2 * 2**failures)))  # noqa: S311
