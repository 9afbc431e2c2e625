"""A worker that commits what a step wrote first, and that the step is done after that.

It dies in between, in a job's first attempt.
"""

from __future__ import annotations

from typing import Any

from effects_apart import die_first
from history_tasks import app  # noqa: F401 - what the worker runs
from replaced import replace

from esteira.context import Context
from esteira.sync_context import SyncContext


async def step_transaction(self: Any, name: str, function: Any) -> Any:
    async with self._database.acquire() as connection, connection.transaction():
        value = await function(connection)
    die_first(self._job)
    return await self.step(name, lambda: value)


def sync_step_transaction(self: Any, name: str, function: Any) -> Any:
    with self._database.acquire() as connection, connection.transaction():
        value = function(connection)
    die_first(self._job)
    return self.step(name, lambda: value)


replace(Context, "step_transaction", step_transaction)
replace(SyncContext, "step_transaction", sync_step_transaction)
