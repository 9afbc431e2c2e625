"""The word to stop: a first one to do so in good order, a second one to hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Stop:
    """Note that the worker is to stop. told: once; hurry: twice."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.hurry = asyncio.Event()

    def tell(self) -> None:
        """Tell it to stop; again, to hurry."""
        (self.hurry if self.told.is_set() else self.told).set()

    async def unless_told(self, work: Awaitable[T]) -> T | None:
        """Await something, but no longer than until the word comes: then cancel it and return None."""
        task = asyncio.ensure_future(work)
        told = asyncio.ensure_future(self.told.wait())
        try:
            await asyncio.wait([task, told], return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            told.cancel()
            task.cancel()
