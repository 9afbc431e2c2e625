"""Run a plain function to its end, in whatever thread or process this is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from pydantic import ValidationError

from esteira import Interrupted, SyncContext, Task
from esteira.database import SyncDatabase
from esteira.running import Claimed
from esteira_worker.endings import Cancelled, Ending, Settled, bad_payload, completed, ending_of

log = structlog.get_logger()


def run_plain(
    job: Claimed, task: Task[..., Any], database: SyncDatabase, began: Callable[[SyncContext], None] = lambda _: None
) -> Ending:
    """Run the attempt and return how it ended. `began` receives its context, if it has one."""
    signature = task.signature
    try:
        arguments = signature.decode(job.payload)
    except ValidationError as error:
        return bad_payload(error)
    context = None
    if signature.context_parameter is not None:
        context = arguments[signature.context_parameter] = SyncContext(job, database, task.policy.steps)
        began(context)
    try:
        value = task.function(**arguments)
        if context is not None:
            context.close()
    except Interrupted:
        return Cancelled()
    except (Exception, SystemExit) as error:
        if context is None or not context.completed:
            return ending_of(error, task)
        log.warning("raised_after_completion", job_id=str(job.id), task=job.task, attempt=job.attempt, error=repr(error))
    return Settled() if context is not None and context.completed else completed(value)
