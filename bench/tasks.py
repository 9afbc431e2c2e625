"""What Esteira's workers run."""

from __future__ import annotations

import asyncio
from uuid import UUID

from bench.ledger import saw
from esteira import App, Context

app = App("bench")


@app.task()
async def job(n: int, ms: int, pad: str) -> None:  # noqa: ARG001  (pad is what payloads are filled with)
    """Note that it began, and take a while."""
    saw(n)
    if ms:
        await asyncio.sleep(ms / 1000)


@app.task()
async def wait(n: int) -> None:
    """Note when it is cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        saw(n)


@app.task()
async def hold(seconds: float, effect: UUID, ctx: Context) -> None:
    """Take a while, then leave one effect in the transaction that completes the job."""
    await asyncio.sleep(seconds)
    async with ctx.transaction() as tx:
        await tx.execute("insert into public.effect (effect) values ($1)", effect)
        await tx.complete()
