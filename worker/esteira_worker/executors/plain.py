"""Run a plain function to its end, in whatever thread or process this is."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import structlog
from pydantic import ValidationError

from esteira import SyncContext, Task
from esteira.database import SyncDatabase
from esteira.running import Claimed
from esteira_worker.endings import Ending, Settled, bad_payload, completed, ending_of

log = structlog.get_logger()


def run_plain(
    job: Claimed,
    task: Task[..., Any],
    database: SyncDatabase,
    began: Callable[[SyncContext], None] = lambda _: None,
    make_context: Callable[..., SyncContext] = SyncContext,
) -> Ending:
    """Run the attempt and return how it ended; never raises. `began` receives its context, if it has one.

    Context variables that the function sets are gone with it: the thread or process has other jobs to run.
    """
    return copy_context().run(_run, job, task, database, began, make_context)


def _run(
    job: Claimed,
    task: Task[..., Any],
    database: SyncDatabase,
    began: Callable[[SyncContext], None],
    make_context: Callable[..., SyncContext],
) -> Ending:
    signature = task.signature
    try:
        arguments = signature.decode(job.payload)
    except ValidationError as error:
        return bad_payload(error)
    context = None
    if signature.context_parameter is not None:
        context = arguments[signature.context_parameter] = make_context(job, database, task.policy.steps, signature)
        began(context)
    try:
        value = task.function(**arguments)
        if context is not None:
            context.close()
    except BaseException as error:  # noqa: BLE001 - whatever a function raises is the end of its job, not of the thread
        if context is None or not context.completed:
            if context is not None:
                context.close()
            return ending_of(error, task)
        log.warning("raised_after_completion", job_id=str(job.id), task=job.task, error=repr(error))
    return Settled() if context is not None and context.completed else completed(value, signature)
