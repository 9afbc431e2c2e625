from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio

from esteira import App, Task
from esteira.database import Database, SyncDatabase
from esteira.running import Claimed
from esteira_worker.buffer import Buffer
from esteira_worker.endings import Cancelled, Completed, Ending, Failed, Released
from esteira_worker.executors import AsyncExecutor, ThreadExecutor
from esteira_worker.settler import Settler
from esteira_worker.slot import Slot
from tests.worker.conftest import Events, until

app = App("t")
seen: ContextVar[str] = ContextVar("seen")
hanging, let_go = threading.Event(), threading.Event()


class Unusual(BaseException):
    pass


@app.task()
async def wait() -> None:
    await asyncio.Event().wait()


@app.task()
async def shrug() -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "went on"
    return ""


@app.task()
async def ignore(rounds: int) -> str:
    for _ in range(rounds):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)
    return "went on"


@app.task()
async def cancel_itself() -> None:
    other = asyncio.create_task(asyncio.Event().wait())
    other.cancel()
    await other


@app.task()
async def unusual() -> None:
    raise Unusual("odd")


@app.task()
async def end_the_generator() -> None:
    raise GeneratorExit


@app.task()
async def unprintable() -> None:
    error = SyntaxError("x")
    error.text, error.lineno, error.filename, error.offset = 5, "abc", 7, "q"  # type: ignore[assignment]
    raise error


class Spiteful(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


@app.task()
async def spiteful() -> None:
    raise Spiteful


async def fail() -> None:
    raise ZeroDivisionError


@app.task()
async def bounded() -> str:
    """Fail where a request to cancel was left standing on the slot's task."""
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.Event().wait()
        return "timed out"
    return ""


@app.task()
async def remember() -> str:
    before = seen.get("nothing")
    seen.set("something")
    return before


@app.task()
def hang() -> None:
    hanging.set()
    let_go.wait()


class Recorder:
    """Stand for the settler: note the endings, in order."""

    def __init__(self) -> None:
        self.endings: asyncio.Queue[Ending] = asyncio.Queue()

    def put(self, _job: Claimed, ending: Ending) -> None:
        self.endings.put_nowait(ending)

    async def next(self) -> Ending:
        return await asyncio.wait_for(self.endings.get(), 5)


class Bench:
    """A slot that runs, its buffer, and what comes out of it."""

    def __init__(self) -> None:
        self.buffer = Buffer()
        self.recorder = Recorder()
        nowhere = "postgresql://nobody@127.0.0.1:1/none"
        executors = {"async": AsyncExecutor(Database(nowhere)), "thread": ThreadExecutor(SyncDatabase(nowhere), 1)}
        self.slot = Slot(self.buffer, cast("Settler", self.recorder), executors, app.tasks)

    def put(self, task: Task[..., Any], timeout: float | None = None, **payload: object) -> Claimed:
        job = Claimed(UUID(int=1), 1, "q", task.name, json.dumps(payload), 0, 0, timeout)
        self.buffer.put([job])
        return job

    async def busy(self) -> None:
        await until(lambda: self.slot.job)


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.slot.start()
    yield bench
    bench.slot.interrupt("released")
    bench.slot.finish()
    await asyncio.wait_for(bench.slot.ended(), 5)


def later() -> float:
    return asyncio.get_running_loop().time() + 3600


@pytest.mark.parametrize(
    ("stop", "kind"),
    [
        (lambda slot: slot.interrupt("cancelled"), Cancelled),
        (lambda slot: slot.interrupt("released"), Released),
        (lambda slot: slot.check(later()), Failed),
    ],
)
async def test_an_interrupted_job_ends_as_it_was_told_and_the_slot_goes_on(
    bench: Bench, stop: Callable[[Slot], None], kind: type[Ending]
) -> None:
    bench.put(wait, timeout=60)
    await bench.busy()
    stop(bench.slot)
    assert isinstance(await bench.recorder.next(), kind)
    bench.put(bounded)
    assert await bench.recorder.next() == Completed('"timed out"')


async def test_a_timeout_says_how_long_it_was(bench: Bench) -> None:
    bench.put(wait, timeout=2.5)
    await bench.busy()
    bench.slot.check(asyncio.get_running_loop().time() + 2)
    assert bench.recorder.endings.empty()
    bench.slot.check(asyncio.get_running_loop().time() + 2.6)
    ending = await bench.recorder.next()
    assert isinstance(ending, Failed)
    assert (ending.outcome, ending.retryable) == ("timed_out", True)
    assert "timeout of 2.5 s" in ending.error


async def test_a_handler_that_swallows_its_cancellation_and_returns_has_its_result_stored(bench: Bench) -> None:
    bench.put(shrug)
    await bench.busy()
    bench.slot.interrupt("cancelled")
    assert await bench.recorder.next() == Completed('"went on"')
    for task, kind in ((bounded, Completed), (cancel_itself, Failed), (bounded, Completed)):
        bench.put(task)
        assert isinstance(await bench.recorder.next(), kind)


async def test_a_handler_that_goes_on_after_its_cancellation_keeps_the_slot_but_not_the_job(
    bench: Bench, events: Events
) -> None:
    bench.put(ignore, rounds=5)
    await bench.busy()
    bench.slot.interrupt("cancelled")
    bench.slot.check(asyncio.get_running_loop().time())
    assert bench.recorder.endings.empty()  # it may still clean up
    for _ in range(2):
        bench.slot.check(later())
    assert isinstance(await bench.recorder.next(), Cancelled)
    assert bench.slot.job is not None
    assert len(events("handler_does_not_stop")) == 1
    bench.put(bounded)
    assert await bench.recorder.next() == Completed('"timed out"')


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (cancel_itself, "CancelledError"),
        (unusual, "Unusual"),
        (end_the_generator, "GeneratorExit"),
        (unprintable, "SyntaxError"),
        (spiteful, "Spiteful"),
    ],
)
async def test_whatever_a_handler_raises_is_its_jobs_failure_and_the_slot_goes_on(
    bench: Bench, task: Task[..., Any], kind: str
) -> None:
    bench.put(task)
    ending = await bench.recorder.next()
    assert isinstance(ending, Failed)
    assert json.loads(ending.error)["type"] == kind
    bench.put(bounded)
    assert await bench.recorder.next() == Completed('"timed out"')


async def test_context_variables_end_with_their_job(bench: Bench) -> None:
    for _ in range(3):
        bench.put(remember)
        assert await bench.recorder.next() == Completed('"nothing"')


async def test_a_finishing_slot_completes_its_job_and_takes_no_other(bench: Bench) -> None:
    bench.put(ignore, rounds=1)
    await bench.busy()
    bench.slot.finish()
    bench.put(bounded)
    await asyncio.wait_for(bench.slot.ended(), 5)
    assert await bench.recorder.next() == Completed('"went on"')
    assert len(bench.buffer) == 1


async def test_a_job_runs_alone_though_the_slot_has_stopped(bench: Bench) -> None:
    bench.slot.finish()
    await bench.slot.ended()
    await bench.slot.run_alone(Claimed(UUID(int=1), 1, "q", bounded.name, "{}", 0, 2, None))
    assert await bench.recorder.next() == Completed('"timed out"')
    assert bench.slot.job is None


@pytest.fixture
def hung_thread() -> Iterator[None]:
    """`hang` hangs until `let_go` is set, at the latest after the test."""
    hanging.clear()
    let_go.clear()
    yield
    let_go.set()


@pytest.mark.parametrize("order", [("finish", "interrupt"), ("interrupt", "finish")])
async def test_a_slot_whose_thread_still_runs_takes_no_job_though_it_was_finished_and_resumed(
    bench: Bench, hung_thread: None, order: tuple[str, str]
) -> None:
    bench.put(hang)
    await until(hanging.is_set)
    for what in order:
        if what == "interrupt":
            bench.slot.interrupt("cancelled")
            assert isinstance(await bench.recorder.next(), Cancelled)
        else:
            bench.slot.finish()
    await asyncio.wait_for(bench.slot.ended(), 5)
    assert not bench.slot.free
    bench.slot.resume()
    bench.put(bounded)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(bench.buffer) == 1
    let_go.set()
    assert await bench.recorder.next() == Completed('"timed out"')
    assert bench.slot.free
