"""Async functions, on the engine's loop, in the slot's own asyncio task: no task a job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from pydantic import ValidationError

from esteira import Context, Task
from esteira.database import Database
from esteira.running import Claimed
from esteira_worker.endings import Ending, Settled, bad_payload, completed, ending_of

log = structlog.get_logger()


class AsyncExecutor:
    """Await the handler. database: for the contexts; apart from the engine's own, which must never wait for theirs."""

    def __init__(self, database: Database, make_context: Callable[..., Context] = Context) -> None:
        self._database = database
        self._make_context = make_context

    async def run(self, job: Claimed, task: Task[..., Any]) -> Ending:
        """Run the attempt; cancelling it raises CancelledError in the handler."""
        signature = task.signature
        try:
            arguments = signature.decode(job.payload)
        except ValidationError as error:
            return bad_payload(error)
        context = None
        if signature.context_parameter is not None:
            context = arguments[signature.context_parameter] = self._make_context(
                job, self._database, task.policy.steps, signature
            )
        try:
            value = await task.function(**arguments)
            if context is not None:
                await context.close()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises is the end of its job, not of the slot
            if context is None or not context.completed:
                if context is not None:
                    await context.close()
                return ending_of(error, task)
            log.warning("raised_after_completion", job_id=str(job.id), task=job.task, error=repr(error))
        return Settled() if context is not None and context.completed else completed(value, signature)

    def leftover(self, _job: Claimed) -> asyncio.Future[Any] | None:
        """Return None: nothing of a cancelled coroutine goes on."""
        return None

    async def close(self) -> None:
        """Let go of the connections."""
        await self._database.close()
