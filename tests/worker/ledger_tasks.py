"""The tasks of the tests' workers. What they did stands in a file, which no crash and no rollback takes back."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import subprocess
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from esteira import App, Context, Fail, Retry, Snooze, SyncContext

app = App("t")
SEEN: ContextVar[str] = ContextVar("seen")


def note(line: object) -> None:
    with Path(os.environ["LEDGER"]).open("a") as ledger:
        ledger.write(f"{line}\n")


@app.task()
async def add(a: int, b: int) -> int:
    return a + b


@app.task()
def add_in_thread(a: int, b: int) -> int:
    return a + b


@app.task(executor="process")
def add_in_process(a: int, b: int) -> list[int]:
    return [a + b, os.getpid()]


@app.task()
async def sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@app.task()
def sleep_in_thread(seconds: float, ctx: SyncContext) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.02)
        ctx.check()
    return "slept"


@app.task(executor="process")
def sleep_in_process(seconds: float) -> str:
    child = subprocess.Popen(["sleep", str(seconds)])
    note(f"{os.getpid()} {child.pid}")
    child.wait()
    return "slept"


@app.task(executor="process", retry=Retry(attempts=1))
def memory_bomb() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (2**30, resource.RLIM_INFINITY))
    try:
        return len(bytearray(2**32))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@app.task(executor="process", retry=Retry(attempts=1))
def leave(code: int) -> None:
    os._exit(code)


@app.task(retry=Retry(attempts=3, first="0s", max="0s", never_on=(KeyError,)))
async def fail(kind: str, ctx: Context) -> None:
    note(f"attempt {ctx.attempt}")
    raise {"value": ValueError("no \0 good"), "key": KeyError("k"), "fail": Fail("hopeless")}[kind]


@app.task(retry=Retry(attempts=3, first="0s", max="0s"))
async def fail_once(ctx: Context) -> int:
    if ctx.attempt == 1:
        raise ValueError
    return ctx.attempt


@app.task()
async def snooze(ctx: Context) -> int:
    if ctx.attempt == 1:
        raise Snooze("0.3s")
    return ctx.attempt


@app.task()
async def not_a_number() -> float:
    return float("nan")


@app.task()
async def hold_the_gil(seconds: float) -> str:
    note("holding")
    # PyDLL keeps the GIL while usleep sleeps: nothing in this process moves, as with a C extension that computes.
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    return "held"


@app.task()
async def two_steps(seconds: float, ctx: Context) -> str:
    async def first() -> int:
        note("first")
        return 1

    async def second() -> int:
        note("second begins")
        await asyncio.sleep(seconds if ctx.attempt == 1 else 0)
        note("second")
        return 2

    return f"{await ctx.step('first', first)} {await ctx.step('second', second)} in attempt {ctx.attempt}"


@app.task()
async def effect(number: int, seconds: float, ctx: Context) -> None:
    note(f"effect {ctx.attempt}")
    await asyncio.sleep(seconds if ctx.attempt == 1 else 0)
    async with ctx.transaction() as tx:
        await tx.execute("insert into effect values ($1, $2)", number, ctx.attempt)
        await tx.complete(number)


@app.task()
async def dwell(seconds: float, ctx: Context) -> int:
    async with ctx.transaction() as tx:
        note(f"dwells {ctx.attempt}")
        await asyncio.sleep(seconds if ctx.attempt == 1 else 0)
        await tx.complete(ctx.attempt)
    return ctx.attempt


@app.task()
async def abort() -> None:
    os.abort()


@app.task()
async def remember(word: str) -> Any:
    before = SEEN.get(None)
    SEEN.set(word)
    return before


@app.task()
def deaf_sleep(seconds: float) -> None:
    note("asleep")
    time.sleep(seconds)


@app.task(timeout="1s", retry=Retry(attempts=1))
def never_end() -> None:
    """Keep a thread for ever."""
    threading.Event().wait()


@app.task()
async def stop_the_loop() -> None:
    """Do what no task should."""
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)


@app.task(timeout="1s")
def outlast(seconds: float) -> None:
    note("outlasts")
    time.sleep(seconds)


@app.task()
async def block_the_loop(seconds: float) -> None:
    note("blocks")
    time.sleep(seconds)  # noqa: ASYNC251 - what nobody should do
