"""The claim loop: keep the buffer filled with what the slots will take while the next claim is under way."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any
from uuid import UUID

import structlog

from esteira.database import Database
from esteira.database.outage import outage
from esteira.errors import DatabaseUnavailable
from esteira.running import Claimed
from esteira_worker.buffer import Buffer
from esteira_worker.floors import Floors
from esteira_worker.settler import Settler
from esteira_worker.spacing import Spacing

# The columns of Claimed in their order, then where the job stood; times as floors take them.
CLAIM = """
select id, attempt, queue, task, payload, failures, crashes, timeout_seconds, priority,
       date_part('epoch', ready_at) as ready_at, date_part('epoch', claimed_at) as claimed_at
from esteira.claim($1, $2, $3, $4, $5, $6, $7, $8)
"""
_JOB = slice(0, 8)
_PRIORITY = itemgetter(8)
_PLACE = itemgetter(9, 0)
_LANE_AND_PLACE = itemgetter(2, 8, 9, 0)
_RUNNING = "select id, attempt from esteira.job_live where worker_id = $1 and engine = $2 and status = 'running'"
_POLL_SECONDS = 1.0
# After a claim that found something: what follows it without a notification must not wait for the poll.
_SOON_SECONDS = 0.1
_MOST = 2000
# No queue has this name.
_RESUMED = "*"
_RECONCILE_SECONDS = 10.0
# From the second crash on, a job may be what crashes its process: it runs alone, so that bystanders are cleared.
_SUSPECT_CRASHES = 2
log = structlog.get_logger()


class Claimer:
    """Claim for one engine. `engines` is how many share the sweeping; `queues` None means all."""

    def __init__(
        self,
        database: Database,
        worker_id: UUID,
        engine: int,
        tasks: Sequence[str],
        queues: Sequence[str] | None,
        buffer: Buffer,
        settler: Settler,
        held: Callable[[], set[tuple[UUID, int]]],
    ) -> None:
        self._database = database
        self._owner = (worker_id, engine)
        self._tasks = list(tasks)
        self._all_queues = queues is None
        self._queues = list(queues or ())
        self._buffer = buffer
        self._settler = settler
        self._held = held
        self._floors = Floors()
        self._wake = asyncio.Event()
        self._rate = _Rate()
        self._sweeps = Spacing()
        self._discoveries = Spacing()
        self._next_reconcile = 0.0
        self._cautious = False
        self.suspect: Claimed | None = None
        self.engines = 1
        self.turned_at = asyncio.get_running_loop().time()

    def notified(self, queue: str | None) -> None:
        """Hear that a queue has something new; None: anything may have happened, "*": something was resumed."""
        if queue == _RESUMED:
            self._floors.reset()
            queue = None
        if queue is not None and queue not in self._queues:
            if not self._all_queues:
                return
            self._add_queue(queue)
        self._wake.set()

    async def run(self) -> None:
        """Claim until cancelled, or until a suspect was claimed: then return, so that the engine can run it alone."""
        while self.suspect is None:
            try:
                await self._turn()
                outage.succeeded("claim")
            except DatabaseUnavailable as error:
                outage.failed("claim", error)
                await self._begin_anew()
            except Exception:
                # Ending the engine would count as a crash of the jobs that it runs.
                log.exception("claim_failed")
                await self._begin_anew()

    async def _begin_anew(self) -> None:
        # The claim may have been stored and its reply lost.
        self._next_reconcile = 0
        self._floors.reset()
        await asyncio.sleep(random.uniform(0.1, 1.0))  # noqa: S311 - not all engines at once

    async def _turn(self) -> None:
        now = self.turned_at = asyncio.get_running_loop().time()
        await self._settler.room()
        wanted = self._wanted()
        if wanted <= 0:
            await self._look_around(now)
            await self._wait(self._buffer.demand)
            return
        self._wake.clear()
        self._buffer.demand.clear()
        sweep = self._sweeps.due(now, self.engines)
        wanted = 1 if self._cautious else wanted
        found = await self._claim(wanted, sweep=sweep)
        if sweep:
            self._sweeps.looked(now, asyncio.get_running_loop().time())
        # Not before: a job that was just announced does not wait for it.
        await self._look_around(now)
        if found < wanted and not (sweep and found):
            await self._wait(self._wake, _SOON_SECONDS if found else await self._idle_seconds())

    async def _look_around(self, now: float) -> None:
        """See now and then what nobody tells: jobs that we do not know of, queues that have their first."""
        if now >= self._next_reconcile:
            await self._reconcile()
            self._next_reconcile = now + _RECONCILE_SECONDS
        if self._all_queues and self._discoveries.due(now, 1):
            began = asyncio.get_running_loop().time()
            await self._discover()
            self._discoveries.looked(began, asyncio.get_running_loop().time())

    def _wanted(self) -> int:
        """Return how many to claim: the free slots, and what will be finished while the claim is under way."""
        ahead = self._rate.ahead(self._settler.settled + self._settler.unsettled)
        self._buffer.low = ahead // 2
        missing = self._buffer.idle + ahead - len(self._buffer)
        # A claim for a few is as dear as one for many: with a full buffer wait until half of it is gone.
        return min(missing, _MOST) if len(self._buffer) <= self._buffer.low else 0

    async def _claim(self, wanted: int, *, sweep: bool) -> int:
        began = asyncio.get_running_loop().time()
        queues = self._queues
        lanes = self._floors.lanes(queues, sweep=sweep)
        rows = await self._database.fetch(CLAIM, *self._owner, wanted, self._tasks, *lanes)
        if not sweep:
            self._rate.took(asyncio.get_running_loop().time() - began)
        now: float = rows[0]["claimed_at"]
        self._floors.saw_clock(now)
        if rows[0]["id"] is None:
            rows = []
        taken = map(_LANE_AND_PLACE, rows)
        if sweep:
            self._floors.swept(taken)
        else:
            self._floors.claimed(taken)
            if len(rows) < wanted:
                self._floors.exhausted(queues, now)
        self._hand_over(rows)
        return len(rows)

    def _hand_over(self, rows: list[Any]) -> None:
        jobs = claimed_from(rows)
        suspects = [job for job in jobs if job.crashes >= _SUSPECT_CRASHES]
        # Where there is one there may be more: they are fetched one by one.
        self._cautious = bool(suspects)
        if suspects:
            self.suspect, *others = suspects
            # Held while it runs, they would share its crash.
            self._settler.release(others)
            jobs = [job for job in jobs if job.crashes < _SUSPECT_CRASHES]
        self._buffer.put(jobs)

    async def _idle_seconds(self) -> float:
        """Return how long to wait where nothing is ready: to the next future job, at most to the next poll."""
        row = await self._database.fetchrow(
            "select extract(epoch from esteira.next_ready_at($1, $2) - esteira.now())::float8",
            self._queues,
            self._tasks,
        )
        # Within a second, where no wake-up comes, though not all workers at once.
        wait = _POLL_SECONDS * random.uniform(0.75, 0.95)  # noqa: S311 - no secret
        return wait if row is None or row[0] is None else max(0.0, min(wait, row[0] + 0.001))

    async def _discover(self) -> None:
        for row in await self._database.fetch("select esteira.ready_queues($1)", self._queues):
            if row[0] not in self._queues:
                self._add_queue(row[0])

    def _add_queue(self, queue: str) -> None:
        # A new list: the claim under way did not look into this queue, and must not raise its floor.
        self._queues = [*self._queues, queue]
        self._wake.set()

    async def _reconcile(self) -> None:
        """Give back what the database thinks we run and we do not: claims whose reply never came."""
        held = self._held()
        rows = await self._database.fetch(_RUNNING, *self._owner)
        stray = [row for row in rows if (row["id"], row["attempt"]) not in held]
        if stray:
            log.warning("stray_jobs_released", jobs=len(stray))
            await self._database.fetch(
                "select esteira.release($1, $2)", [row["id"] for row in stray], [row["attempt"] for row in stray]
            )

    async def _wait(self, event: asyncio.Event, seconds: float = _POLL_SECONDS) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        event.clear()


def claimed_from(rows: list[Any]) -> list[Claimed]:
    """Return the jobs of a claim's rows, in the order of the queue."""
    # RETURNING comes in that of the table, and nothing to claim as one row of nulls.
    rows = sorted((row for row in rows if row[0]), key=_PLACE)
    rows.sort(key=_PRIORITY, reverse=True)
    return [Claimed(*row[_JOB]) for row in rows]


class _Rate:
    """How many jobs this engine finishes while a claim is under way: none for slow jobs, hundreds for fast ones."""

    def __init__(self) -> None:
        self._finished = 0
        self._at = 0.0
        self._per_second = 0.0
        self._claim_seconds = 0.0

    def ahead(self, finished: int) -> int:
        """Return how many will be finished meanwhile; `finished` counts since the start."""
        now = asyncio.get_running_loop().time()
        elapsed = now - self._at
        if elapsed >= 0.001:
            rate = (finished - self._finished) / elapsed
            # The longer ago the last look, the less it says: a fast engine that was given slow jobs must notice.
            self._per_second += min(1.0, 0.3 + elapsed) * (rate - self._per_second)
            self._finished, self._at = finished, now
        return min(int(2 * self._per_second * self._claim_seconds), _MOST)

    def took(self, seconds: float) -> None:
        """Note how long a claim was under way."""
        self._claim_seconds += 0.3 * (seconds - self._claim_seconds)
