"""A task for each way of running: with steps, progress, and an effect in the completing transaction."""

from __future__ import annotations

import asyncio
import time

from esteira import App, Context, Retry, SyncContext

app = App("e")
# What a test does to a handler's connection is charged like any other failure.
RETRY = Retry(attempts=20, first="0s", max="0.1s")
EFFECT = "insert into effect (number, job_id)"


@app.task(retry=RETRY, steps=("twice", "note"))
async def in_loop(number: int, ctx: Context) -> None:
    twice = await ctx.step("twice", lambda: 2 * number)
    await ctx.progress(0.6, "two more")
    await ctx.step_transaction("note", lambda db: db.fetchval("select $1::int", twice))
    async with ctx.transaction() as tx:
        await tx.execute(f"{EFFECT} values ($1, $2)", number, ctx.job_id)
        await tx.complete(twice)


def plain(number: int, ctx: SyncContext) -> None:
    twice = ctx.step("twice", lambda: 2 * number)
    ctx.progress(0.6, "two more")
    ctx.step_transaction("note", lambda db: db.execute("select %s::int", [twice]).rowcount)
    with ctx.transaction() as tx:
        tx.execute(f"{EFFECT} values (%s, %s)", number, ctx.job_id)
        tx.complete(twice)


in_thread = app.task(name="in_thread", retry=RETRY)(plain)
in_process = app.task(name="in_process", retry=RETRY, executor="process")(plain)


@app.task(retry=RETRY)
async def linger(number: int, ctx: Context) -> None:
    """Hold a session for a moment, as transactions do that work."""
    async with ctx.transaction() as tx:
        await tx.execute(f"{EFFECT} values ($1, $2)", number, ctx.job_id)
        await tx.execute("select pg_sleep(0.05)")
        await tx.complete()


@app.task(retry=Retry(attempts=2, first="0s"))
async def fail_once(ctx: Context) -> int:
    if ctx.attempt == 1:
        raise ValueError
    return ctx.attempt


@app.task()
async def doze() -> None:
    await asyncio.sleep(600)


@app.task()
def nap(ctx: SyncContext) -> None:
    while True:
        time.sleep(0.02)
        ctx.check()


@app.task(executor="process")
def sleep() -> None:
    time.sleep(600)
