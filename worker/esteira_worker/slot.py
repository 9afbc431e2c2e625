"""A slot: one job at a time, from the buffer to the settler."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from esteira import Task
from esteira.running import Claimed
from esteira_worker.buffer import Buffer
from esteira_worker.endings import Cancelled, Ending, Released, Settled, timed_out
from esteira_worker.executors import Executor
from esteira_worker.settler import Settler

Reason = Literal["cancelled", "timed_out", "released", "lost"]
# Handlers that never wait would keep the loop from claiming and settling.
_JOBS_BETWEEN_YIELDS = 16


class Slot:
    """Run jobs one after the other, for as long as the engine lives."""

    def __init__(self, buffer: Buffer, settler: Settler, executors: Mapping[str, Executor], tasks: Mapping[str, Task[..., Any]]) -> None:
        self._buffer = buffer
        self._settler = settler
        self._executors = executors
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._reason: Reason | None = None
        self._finishing = False
        self.job: Claimed | None = None
        self.timeout = 0.0
        self.deadline = 0.0

    def start(self, first: Claimed | None = None) -> None:
        """Begin to take jobs, with this one first."""
        self._finishing = False
        self._task = asyncio.create_task(self._run(first), name="slot")

    def finish(self) -> None:
        """Take no further job; where none runs, end at once."""
        self._finishing = True
        if self.job is None and self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until it has ended."""
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

    def interrupt(self, reason: Reason) -> None:
        """Stop the job that runs now, if it has not been told so already."""
        if self.job is not None and self._reason is None and self._task is not None:
            self._reason = reason
            self._task.cancel()

    async def _run(self, job: Claimed | None) -> None:
        while True:
            for _ in range(_JOBS_BETWEEN_YIELDS):
                await self._run_one(job or await self._buffer.take())
                job = None
                if self._finishing:
                    return
            await asyncio.sleep(0)

    async def _run_one(self, job: Claimed) -> None:
        task = self._tasks[job.task]
        executor = self._executors[task.policy.executor]
        self.timeout = job.timeout or task.policy.timeout.total_seconds()
        self.deadline = self._loop.time() + self.timeout
        self.job = job
        try:
            ending = await executor.run(job, task)
        except asyncio.CancelledError:
            if self._reason is None:
                raise
            # Ours, not the engine's: the slot goes on.
            self._task.uncancel()  # type: ignore[union-attr]
            ending = self._interrupted()
        finally:
            self.job = self._reason = None
        self._settler.put(job, ending)
        leftover = executor.leftover(job)
        if leftover is not None and not self._finishing:
            await asyncio.wait([leftover])

    def _interrupted(self) -> Ending:
        match self._reason:
            case "cancelled":
                return Cancelled()
            case "timed_out":
                return timed_out(self.timeout)
            case "released":
                return Released()
            case _:
                return Settled()
