"""A worker whose completing transactions commit what the handler wrote first, and its completion after that.

It dies in between, in a job's first attempt.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from history_tasks import app  # noqa: F401 - what the worker runs
from replaced import replace

from esteira.context import Context, Transaction
from esteira.running import COMPLETE
from esteira.sync_context import SyncContext, SyncTransaction, _ask


def die_first(job: Any) -> None:
    if job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@asynccontextmanager
async def transaction(self: Any) -> AsyncIterator[Transaction]:
    async with self._database.acquire() as connection:
        async with connection.transaction():
            tx = Transaction(connection)
            yield tx
        die_first(self._job)
        await connection.fetchval(COMPLETE, self._job.id, self._job.attempt, tx.result)
    self.completed = True


@contextmanager
def sync_transaction(self: Any) -> Iterator[SyncTransaction]:
    with self._database.acquire() as connection:
        with connection.transaction():
            tx = SyncTransaction(connection)
            yield tx
        die_first(self._job)
        _ask(connection, COMPLETE, self._job.id, self._job.attempt, tx.result)
    self.completed = True


replace(Context, "transaction", transaction)
replace(SyncContext, "transaction", sync_transaction)
