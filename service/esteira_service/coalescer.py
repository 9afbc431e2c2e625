"""One insert and one commit for all the jobs that arrive while the insert before it is under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from esteira.client import Client
from esteira.encoding import Encoded
from esteira.errors import InvalidInput
from esteira.job import Job
from esteira.new_job import NewJob

MAX_JOBS = 1000
MAX_CHARACTERS = 8 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored job, without its payload, and whether a worker has ever declared its task."""

    job: Job
    declared: bool


_Batch = list[tuple[NewJob, "asyncio.Future[Stored]"]]


class Coalescer:
    """Store jobs in batches that form by themselves: no timer, so that a lone job is inserted at once.

    10,000 jobs a second on one connection, where an insert for each made 5,000.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: _Batch = []
        self._storing: asyncio.Task[None] | None = None
        self._declared: set[str] = set()

    async def enqueue(self, new: NewJob) -> Stored:
        """Store the job; returns after the commit. Its payload is Encoded.

        Raises InvalidInput where this very job is refused, DatabaseUnavailable where it may or may not be stored.
        """
        stored: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._waiting.append((new, stored))
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_all())
        return await stored

    async def close(self) -> None:
        """Wait until what has arrived is stored."""
        if self._storing is not None:
            await self._storing

    async def _store_all(self) -> None:
        while self._waiting:
            await self._store(self._take())

    def _take(self) -> _Batch:
        size = characters = 0
        for new, _ in self._waiting[:MAX_JOBS]:
            characters += len(new.payload) if isinstance(new.payload, Encoded) else 0
            if size and characters > MAX_CHARACTERS:
                break
            size += 1
        batch = self._waiting[:size]
        del self._waiting[:size]
        return batch

    async def _store(self, batch: _Batch) -> None:
        try:
            ids = await self._client.enqueue_many([new for new, _ in batch])
        except InvalidInput as error:
            # Nothing of the batch was stored. Halving it finds the guilty ones; the others do not pay for them.
            if len(batch) == 1:
                _refuse(batch, error)
                return
            middle = len(batch) // 2
            await self._store(batch[:middle])
            await self._store(batch[middle:])
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            _refuse(batch, error)
        else:
            await self._show(batch, ids)

    async def _show(self, batch: _Batch, ids: list[UUID]) -> None:
        try:
            declared = await self._known({new.task for new, _ in batch})
            jobs = await self._client.get_many(ids, payloads=False)
            for (new, stored), job_id in zip(batch, ids, strict=True):
                if not stored.done():
                    stored.set_result(Stored(jobs[job_id], new.task in declared))
        except Exception as error:  # noqa: BLE001 - as above
            _refuse(batch, error)

    async def _known(self, tasks: set[str]) -> set[str]:
        # A task that was declared once stays known, so only the others are asked for.
        if not tasks <= self._declared:
            self._declared |= await self._client.declared(tasks - self._declared)
        return self._declared


def _refuse(batch: _Batch, error: Exception) -> None:
    for _, stored in batch:
        if not stored.done():
            stored.set_exception(error)
