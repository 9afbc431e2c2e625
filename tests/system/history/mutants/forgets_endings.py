"""A worker that never writes how a first attempt ended, and never looks for jobs that it does not hold any more."""

from __future__ import annotations

from typing import Any

from history_tasks import app  # noqa: F401 - what the worker runs
from replaced import replace

from esteira_worker.claimer import Claimer
from esteira_worker.settler import Settler

put = Settler.put


def forget_first(self: Any, job: Any, ending: Any) -> None:
    if job.attempt > 1:
        put(self, job, ending)


async def nothing(self: Any) -> None:
    """Look for nothing."""


replace(Settler, "put", forget_first)
replace(Claimer, "_reconcile", nothing)
