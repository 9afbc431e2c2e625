"""Plain functions, in threads of the engine. A thread cannot be stopped: its context raises at the next call."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from esteira import SyncContext, Task
from esteira.database import SyncDatabase
from esteira.running import Claimed
from esteira_worker.endings import Ending
from esteira_worker.executors.plain import run_plain


class ThreadExecutor:
    """Hold a thread for each slot, made when first needed."""

    def __init__(self, database: SyncDatabase, slots: int) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="esteira")
        self._contexts: dict[UUID, SyncContext] = {}
        self._leftovers: dict[UUID, asyncio.Future[Ending]] = {}

    async def run(self, job: Claimed, task: Task[..., Any]) -> Ending:
        """Run the attempt; cancelling it leaves the thread behind (see `leftover`) and makes its context raise."""
        future = asyncio.get_running_loop().run_in_executor(
            self._threads, run_plain, job, task, self._database, lambda context: self._contexts.__setitem__(job.id, context)
        )
        try:
            ending = await asyncio.shield(future)
        except asyncio.CancelledError:
            if context := self._contexts.get(job.id):
                context.interrupt()
            self._leftovers[job.id] = future
            raise
        finally:
            self._contexts.pop(job.id, None)
        return ending

    def leftover(self, job: Claimed) -> asyncio.Future[Ending] | None:
        """Return the thread of a cancelled attempt."""
        return self._leftovers.pop(job.id, None)

    async def close(self) -> None:
        """Let the threads end by themselves; whatever they still write is fenced."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._database.close()
