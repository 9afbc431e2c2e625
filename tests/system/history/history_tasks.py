"""Tasks that note in a ledger what they do, for histories that are checked."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from typing import Any

from esteira import App, Context, Fail, Retry, Snooze, SyncContext
from esteira.history import Ledger

app = App("h")
ledger = Ledger(os.environ.get("LEDGER", os.devnull))
AT_ONCE = Retry(attempts=3, first="0s", max="0.1s")
TABLE = "create table public.effect (job_id uuid not null, attempt integer not null, step text)"
EFFECT = "insert into public.effect values ($1, $2, $3)"
SYNC_EFFECT = "insert into public.effect values (%s, %s, %s)"
# Those whose every completed job leaves an effect with its completion, and those of them with another in a step.
IN_STEP_TOO = frozenset({"h.both", "h.both_in_thread", "h.both_in_process"})
WITH_EFFECT = IN_STEP_TOO | {"h.effect", "h.parent"}


@app.task()
async def add(a: int, b: int, ctx: Context) -> int:
    with ledger.attempt(ctx):
        return a + b


@app.task()
def add_in_thread(a: int, b: int, ctx: SyncContext) -> int:
    with ledger.attempt(ctx):
        return a + b


@app.task(retry=AT_ONCE)
async def fail_twice(ctx: Context) -> int:
    with ledger.attempt(ctx):
        if ctx.attempt < 3:
            raise ValueError(ctx.attempt)
        return ctx.attempt


@app.task()
async def die_first(ctx: Context) -> int:
    """Be dead, until somebody retries it."""
    with ledger.attempt(ctx):
        if ctx.attempt == 1:
            raise Fail("it takes a second life")
        return ctx.attempt


@app.task()
async def snooze_first(ctx: Context) -> int:
    with ledger.attempt(ctx):
        if ctx.attempt == 1:
            raise Snooze("0.2s")
        return ctx.attempt


@app.task()
async def sleep(seconds: float, ctx: Context) -> None:
    with ledger.attempt(ctx):
        await asyncio.sleep(seconds)


@app.task(retry=AT_ONCE)
async def hold_the_gil(seconds: float, ctx: Context) -> None:
    with ledger.attempt(ctx):
        # PyDLL keeps the GIL meanwhile: nothing in this process moves.
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))


@app.task()
async def steps(seconds: float, ctx: Context) -> list[int]:
    async def slow() -> int:
        await asyncio.sleep(seconds)
        return 2

    async def reserve(db: Any) -> int:
        await db.execute(EFFECT, ctx.job_id, ctx.attempt, "reserve")
        return 3

    with ledger.attempt(ctx) as attempt:
        return [
            await ctx.step("quick", attempt.step("quick", lambda: 1)),
            await ctx.step("slow", attempt.step("slow", slow)),
            await ctx.step_transaction("reserve", attempt.step("reserve", reserve)),
        ]


@app.task(retry=AT_ONCE)
async def effect(seconds: float, ctx: Context) -> int:
    with ledger.attempt(ctx) as attempt:
        async with ctx.transaction() as tx:
            await tx.execute(EFFECT, ctx.job_id, ctx.attempt, None)
            await asyncio.sleep(seconds)
            await tx.complete(ctx.attempt)
        attempt.effect_committed()
    return ctx.attempt


@app.task(retry=AT_ONCE)
async def parent(seconds: float, ctx: Context) -> None:
    """Leave a child behind, if and only if this completes."""
    with ledger.attempt(ctx) as attempt, ledger.request() as request:
        async with ctx.transaction() as tx:
            await tx.execute(EFFECT, ctx.job_id, ctx.attempt, None)
            child = await add.enqueue({"a": 1, "b": 1}, db=tx.connection, metadata=request.metadata)
            await asyncio.sleep(seconds)
            await tx.complete()
        request.acknowledged(child.id)
        attempt.effect_committed()


@app.task(retry=AT_ONCE)
async def both(seconds: float, failures: int, ctx: Context) -> int:
    """Leave an effect with a step and one with the completion; fail so many times when both are written."""

    async def reserve(db: Any) -> int:
        await db.execute(EFFECT, ctx.job_id, ctx.attempt, "reserve")
        await asyncio.sleep(seconds)
        return ctx.attempt

    with ledger.attempt(ctx) as attempt:
        await ctx.step_transaction("reserve", attempt.step("reserve", reserve))
        async with ctx.transaction() as tx:
            await tx.execute(EFFECT, ctx.job_id, ctx.attempt, None)
            await asyncio.sleep(seconds)
            await tx.complete(ctx.attempt)
            if ctx.attempt <= failures:
                raise ValueError("on the way")
        attempt.effect_committed()
    return ctx.attempt


@app.task(retry=AT_ONCE)
def both_in_thread(seconds: float, failures: int, ctx: SyncContext) -> int:
    return _both(seconds, failures, ctx)


@app.task(executor="process", retry=AT_ONCE)
def both_in_process(seconds: float, failures: int, ctx: SyncContext) -> int:
    return _both(seconds, failures, ctx)


def _both(seconds: float, failures: int, ctx: SyncContext) -> int:
    def reserve(db: Any) -> int:
        db.execute(SYNC_EFFECT, [ctx.job_id, ctx.attempt, "reserve"])
        time.sleep(seconds)
        return ctx.attempt

    with ledger.attempt(ctx) as attempt:
        ctx.step_transaction("reserve", attempt.step("reserve", reserve))
        with ctx.transaction() as tx:
            tx.execute(SYNC_EFFECT, ctx.job_id, ctx.attempt, None)
            time.sleep(seconds)
            tx.complete(ctx.attempt)
            if ctx.attempt <= failures:
                raise ValueError("on the way")
        attempt.effect_committed()
    return ctx.attempt
