"""Whoever comes with the same key waits here, in this process, and takes no connection meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from esteira.errors import KeyInFlight
from esteira.new_job import NewJob

WAIT_SECONDS = 1.0
# Of the pool's ten. A key that an open transaction elsewhere holds keeps one for a second; others have theirs.
_CONNECTIONS = 5


class Turns:
    """Let jobs with the same key enqueue one after the other, and not too many with keys at once."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()
        self._connections = asyncio.Semaphore(_CONNECTIONS)

    @asynccontextmanager
    async def turn(self, new: NewJob) -> AsyncIterator[None]:
        """Wait for those that came before with one of the same keys. Raises KeyInFlight after a second."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    for key in _keys(new):
                        await held.enter_async_context(self._locks.setdefault(key, asyncio.Lock()))
            except TimeoutError:
                raise KeyInFlight("another request is about to enqueue a job with the same key") from None
            async with self._connections:
                yield


def _keys(new: NewJob) -> list[tuple[str, ...]]:
    # The same order for all, and the same as in the database.
    keys: list[tuple[str, ...]] = []
    if new.idempotency_key is not None:
        keys.append(("idempotency", new.idempotency_key))
    if new.unique_key is not None:
        keys.append(("unique", new.task, new.unique_key))
    return keys
