"""What the measured workers run."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from esteira import App, Context

app = App("bench")


@app.task()
async def noop() -> None:
    """Do nothing."""


@app.task()
async def stamp() -> float:
    """Return when it began: seconds since 1970, the clock of this machine and so of its PostgreSQL."""
    return time.time()


@app.task()
async def hold(seconds: float, effect: UUID, ctx: Context) -> None:
    """Take a while, then leave one effect in the transaction that completes the job."""
    await asyncio.sleep(seconds)
    async with ctx.transaction() as tx:
        await tx.execute("insert into public.effect (effect) values ($1)", effect)
        await tx.complete()
