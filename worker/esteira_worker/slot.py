"""A slot: one job at a time, from the buffer to the settler."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import Context, copy_context
from typing import Any, Literal

import structlog

from esteira import Task
from esteira.running import Claimed
from esteira_worker.buffer import Buffer
from esteira_worker.endings import Cancelled, Ending, Released, failed, timed_out
from esteira_worker.executors import Executor
from esteira_worker.settler import Settler

Reason = Literal["cancelled", "timed_out", "released"]
# Handlers that never wait would keep the loop from claiming and settling.
_JOBS_BETWEEN_YIELDS = 16
# What a handler that was told to stop may take to clean up, before its job is settled without it.
GRACE_SECONDS = 5.0
log = structlog.get_logger()


class Slot:
    """Run jobs one after the other, for as long as the engine lives."""

    def __init__(
        self,
        buffer: Buffer,
        settler: Settler,
        executors: Mapping[str, Executor],
        tasks: Mapping[str, Task[..., Any]],
    ) -> None:
        self._buffer = buffer
        self._settler = settler
        self._executors = executors
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._reason: Reason | None = None
        self.disowned = False
        self._finishing = False
        self._timeout = 0.0
        self._deadline = 0.0
        self._leftover: asyncio.Future[Any] | None = None
        self._left_by: Claimed | None = None
        self.job: Claimed | None = None

    @property
    def free(self) -> bool:
        """Whether it can run a job: none runs, and none was left running in a thread that is this slot's."""
        return self.job is None and (self._leftover is None or self._leftover.done())

    @property
    def held(self) -> bool:
        """Whether a handler that was told to stop still runs in it, its job settled without it."""
        return self.disowned or (self.job is None and not self.free)

    def start(self) -> None:
        """Begin to take jobs from the buffer."""
        self._finishing = False
        self._task = asyncio.create_task(self._run(), name="slot")

    def resume(self) -> None:
        """Go on taking jobs after `finish`, or after `run_alone`."""
        self._finishing = False
        if self._task is None or self._task.done():
            self.start()

    def revive(self) -> None:
        """Go on where something that no handler should be able to do ended the slot; its job goes back as a stray."""
        if self._task is not None and self._task.done() and not self._finishing:
            error = None if self._task.cancelled() else self._task.exception()
            log.error("slot_ended", error=repr(error))
            self.start()

    async def run_alone(self, job: Claimed) -> None:
        """Run this job, then end."""
        self._finishing = True
        self._task = asyncio.create_task(self._run_one(job), name="slot")
        await self.ended()

    def finish(self) -> None:
        """Take no further job; where none runs, end at once."""
        self._finishing = True
        if self.job is None and self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until it has ended."""
        task = None
        while task is not self._task and self._task is not None:
            task = self._task
            await asyncio.wait([task])
        if task is not None and not task.cancelled():
            task.result()

    def interrupt(self, reason: Reason) -> None:
        """Stop the job that runs now, if it has not been told so already."""
        if self.job is not None and self._reason is None and self._task is not None:
            self._reason = reason
            self._deadline = self._loop.time() + GRACE_SECONDS
            self._task.cancel()

    def check(self, now: float) -> None:
        """Stop a job past its timeout. Where the handler goes on all the same, settle the job without it.

        The slot stays taken until such a handler ends; whatever it still writes is fenced.
        """
        if now < self._deadline:
            return
        if self.job is None:
            self._tell_left()
            return
        if self._reason is None:
            self.interrupt("timed_out")
        elif not self.disowned:
            self.disowned = True
            log.warning("handler_does_not_stop", job_id=str(self.job.id), task=self.job.task, reason=self._reason)
            self._settler.put(self.job, self._interrupted(self._reason))

    def _tell_left(self) -> None:
        job, self._left_by = self._left_by, None
        if job is not None and self.held:
            log.warning("slot_held", job_id=str(job.id), task=job.task, hint='executor="process" can be killed')

    async def _run(self) -> None:
        clean = copy_context()
        while True:
            for _ in range(_JOBS_BETWEEN_YIELDS):
                if self._leftover is not None:
                    # Also where the slot was told to finish meanwhile, and resumed: a job would wait for that thread.
                    await asyncio.wait([self._leftover])
                    self._leftover = None
                await self._run_one(await self._buffer.take())
                if self._finishing:
                    return
                if not _is_current(clean):
                    # The handler left context variables behind; the next one must not find them.
                    self._task = asyncio.create_task(self._run(), name="slot", context=clean)
                    return
            await asyncio.sleep(0)

    async def _run_one(self, job: Claimed) -> None:
        task = self._tasks[job.task]
        executor = self._executors[task.policy.executor]
        self._timeout = job.timeout or task.policy.timeout.total_seconds()
        self._deadline = self._loop.time() + self._timeout
        self.job = job
        try:
            ending = await executor.run(job, task)
        except asyncio.CancelledError as error:
            if self._reason is not None:
                ending = self._interrupted(self._reason)
            elif self._task is not None and self._task.cancelling():
                raise
            else:
                # Nobody here cancelled it: the handler awaited something that was.
                ending = failed(error, retryable=True)
        except BaseException as error:  # noqa: BLE001 - no process, no thread: the job's failure, not the slot's end
            ending = failed(error, retryable=True)
        finally:
            self.job = None
        if self._reason is None or not self._interruption_over():
            self._settler.put(job, ending)
        self._leftover = executor.leftover(job)
        if self._leftover is not None:
            self._left_by = job

    def _interruption_over(self) -> bool:
        """Forget the interruption, also one that the handler swallowed; tell whether its job is settled already."""
        disowned, self.disowned, self._reason = self.disowned, False, None
        if self._task is not None:
            # Left standing, it would make a later job's own CancelledError look like the end of the engine.
            self._task.uncancel()
        return disowned

    def _interrupted(self, reason: Reason) -> Ending:
        match reason:
            case "cancelled":
                return Cancelled()
            case "timed_out":
                return timed_out(self._timeout)
            case "released":
                return Released()


def _is_current(context: Context) -> bool:
    """Tell whether nothing was set since; where nothing was, no variable is looked at."""
    try:
        return copy_context() == context
    except Exception:  # noqa: BLE001 - values whose comparison raises
        return False
