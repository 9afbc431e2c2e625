"""Plain functions, in threads of the engine. A thread cannot be stopped: its context raises at the next call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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

    def __init__(
        self, database: SyncDatabase, slots: int, make_context: Callable[..., SyncContext] = SyncContext
    ) -> None:
        self._database = database
        self._make_context = make_context
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="esteira")
        self._leftovers: dict[UUID, asyncio.Future[Ending]] = {}

    async def run(self, job: Claimed, task: Task[..., Any]) -> Ending:
        """Run the attempt; cancelling it leaves the thread behind (see `leftover`) and makes its context raise."""
        interruption = _Interruption()
        future = self._threads.submit(run_plain, job, task, self._database, interruption.began, self._make_context)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancel():
                interruption.interrupt()
                self._leftovers[job.id] = asyncio.wrap_future(future)
            raise

    def leftover(self, job: Claimed) -> asyncio.Future[Ending] | None:
        """Return the thread of a cancelled attempt."""
        return self._leftovers.pop(job.id, None)

    async def close(self) -> None:
        """Let the threads end by themselves; whatever they still write is fenced."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._database.close()


class _Interruption:
    """Reach the context of an attempt, whether the thread has made it already or not."""

    def __init__(self) -> None:
        self._context: SyncContext | None = None
        self._interrupted = False

    def began(self, context: SyncContext) -> None:
        self._context = context
        if self._interrupted:
            context.interrupt()

    def interrupt(self) -> None:
        self._interrupted = True
        if self._context is not None:
            self._context.interrupt()
