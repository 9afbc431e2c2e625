"""Claimed jobs that wait for a slot."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from uuid import UUID

from esteira.running import Claimed


class Buffer:
    """Hand jobs to slots in the order in which they were claimed, and tell the claimer when to fetch more.

    low: at this many jobs, or when a slot waits, `demand` is set. taken: how many were handed out so far.
    """

    def __init__(self) -> None:
        self._jobs: deque[Claimed] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.low = 0
        self.taken = 0
        self.demand = asyncio.Event()

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def idle(self) -> int:
        """How many slots wait for a job."""
        return len(self._waiting)

    def holds(self) -> set[tuple[UUID, int]]:
        """Return the (id, attempt) of the jobs in it."""
        return {(job.id, job.attempt) for job in self._jobs}

    def put(self, jobs: Iterable[Claimed]) -> None:
        """Add jobs and wake as many slots."""
        self._jobs.extend(jobs)
        wake = len(self._jobs)
        while wake and self._waiting:
            waiting = self._waiting.popleft()
            # One that was cancelled just now has not left the line yet.
            if not waiting.done():
                waiting.set_result(None)
                wake -= 1

    def take_all(self) -> list[Claimed]:
        """Take back what no slot has begun."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs

    async def take(self) -> Claimed:
        """Return the next job, waiting for one where there is none."""
        while not self._jobs:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            self.demand.set()
            try:
                await waiting
            except asyncio.CancelledError:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
                raise
        job = self._jobs.popleft()
        self.taken += 1
        if len(self._jobs) <= self.low:
            self.demand.set()
        return job
