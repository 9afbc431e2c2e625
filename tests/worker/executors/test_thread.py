from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from esteira import App, Interrupted, SyncContext
from esteira.database import SyncDatabase
from esteira.running import Claimed
from esteira_worker.endings import Completed, Failed
from esteira_worker.executors import ThreadExecutor
from esteira_worker.executors.thread import _Interruption

app = App("t")
began = threading.Event()
release = threading.Event()
ran: list[int] = []
DATABASE = SyncDatabase("postgresql://nobody@127.0.0.1:1/none")


@app.task()
def block(ctx: SyncContext) -> str:
    began.set()
    release.wait(10)
    ctx.check()
    return "went on"


@app.task()
def run(number: int) -> int:
    ran.append(number)
    return number


@app.task()
def leave() -> None:
    raise SystemExit(3)


def claimed(task: str, payload: str = "{}") -> Claimed:
    return Claimed(UUID(int=1), 1, "q", task, payload, 0, 0, None)


@pytest_asyncio.fixture
async def executor() -> AsyncIterator[ThreadExecutor]:
    began.clear()
    release.clear()
    ran.clear()
    executor = ThreadExecutor(DATABASE, 1)
    yield executor
    release.set()
    await executor.close()


async def test_a_plain_function_runs_off_the_loop(executor: ThreadExecutor) -> None:
    assert await executor.run(claimed("t.run", '{"number": 7}'), app.tasks["t.run"]) == Completed("7")


async def test_a_function_that_exits_ends_its_job_and_not_the_engine(executor: ThreadExecutor) -> None:
    ending = await executor.run(claimed("t.leave"), app.tasks["t.leave"])
    assert isinstance(ending, Failed)
    assert "SystemExit" in ending.error


async def test_a_cancelled_thread_is_left_over_and_its_context_raises(executor: ThreadExecutor) -> None:
    job = claimed("t.block")
    running = asyncio.create_task(executor.run(job, app.tasks["t.block"]))
    await asyncio.to_thread(began.wait, 5)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    leftover = executor.leftover(job)
    assert leftover is not None
    assert not leftover.done()
    release.set()
    ending = await asyncio.wait_for(leftover, 5)
    assert isinstance(ending, Failed)
    assert "Interrupted" in ending.error


async def test_a_job_cancelled_before_its_thread_began_never_runs(executor: ThreadExecutor) -> None:
    first = asyncio.create_task(executor.run(claimed("t.block"), app.tasks["t.block"]))
    await asyncio.to_thread(began.wait, 5)
    job = claimed("t.run", '{"number": 7}')
    second = asyncio.create_task(executor.run(job, app.tasks["t.run"]))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    assert executor.leftover(job) is None
    release.set()
    await first
    assert ran == []


def test_an_interruption_reaches_a_context_that_is_made_only_afterwards() -> None:
    interruption = _Interruption()
    interruption.interrupt()
    context = SyncContext(claimed("t.block"), DATABASE)
    interruption.began(context)
    with pytest.raises(Interrupted):
        context.check()
