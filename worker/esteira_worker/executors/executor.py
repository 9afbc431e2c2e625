"""What every executor does."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from esteira import Task
from esteira.running import Claimed
from esteira_worker.endings import Ending


class Executor(Protocol):
    """Run one attempt. Cancelled, it stops the handler as well as it can and raises CancelledError at once."""

    async def run(self, job: Claimed, task: Task[..., Any], /) -> Ending:
        """Run the attempt and return how it ended; exceptions of the handler are endings."""
        ...

    def leftover(self, job: Claimed, /) -> asyncio.Future[Any] | None:
        """Return what still runs of a cancelled attempt; its slot stays taken until that is done."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
