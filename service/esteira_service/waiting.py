"""Wait for the end of jobs: one query a tick for all who wait, never one for each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from esteira.client import Client
from esteira.job import Job

TICK_SECONDS = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    job_id: UUID
    deadline: float
    answer: asyncio.Future[Job]


class Hub:
    """Look after all jobs that somebody waits for, and only while somebody does."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiters: set[_Waiter] = set()
        self._looking: asyncio.Task[None] | None = None
        self._released = False

    async def wait(self, job_id: UUID, seconds: float) -> Job:
        """Return the job once it has ended, or as it is when the time is over.

        Raises JobNotFound, DatabaseUnavailable.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(job_id, loop.time() + seconds, loop.create_future())
        self._waiters.add(waiter)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            return await waiter.answer
        finally:
            self._waiters.discard(waiter)

    def release(self) -> None:
        """Answer all who wait, now and from now on, with their jobs as they are: the service stops."""
        self._released = True

    async def close(self) -> None:
        """Release all who wait, and wait until they have their answers."""
        self.release()
        if self._looking is not None:
            await self._looking

    async def _look(self) -> None:
        while self._waiters:
            waiters = list(self._waiters)
            try:
                await self._answer(waiters)
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
                for waiter in waiters:
                    _settle(waiter, error)
            self._waiters = {waiter for waiter in self._waiters if not waiter.answer.done()}
            if self._waiters:
                await asyncio.sleep(TICK_SECONDS)

    async def _answer(self, waiters: list[_Waiter]) -> None:
        now = asyncio.get_running_loop().time()
        live = await self._client.live({waiter.job_id for waiter in waiters})
        ready = [waiter for waiter in waiters if waiter.job_id not in live or waiter.deadline <= now or self._released]
        if not ready:
            return
        jobs = await self._client.get_many({waiter.job_id for waiter in ready})
        for waiter in ready:
            job = jobs.get(waiter.job_id)
            if job is None:
                _settle(waiter, await self._client.missing(waiter.job_id))
            elif job.done or waiter.deadline <= now or self._released:
                _settle(waiter, job)


def _settle(waiter: _Waiter, answer: Job | Exception) -> None:
    if waiter.answer.done():
        return
    if isinstance(answer, Exception):
        waiter.answer.set_exception(answer)
    else:
        waiter.answer.set_result(answer)
