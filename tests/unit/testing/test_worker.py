from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from pydantic import BaseModel

from esteira import (
    App,
    ConfigurationError,
    Context,
    Handle,
    Job,
    Retry,
    Snooze,
    SyncContext,
    Unique,
    UnknownTask,
    testing,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.conftest import Belt

ran: list[str] = []
app = App("shop")
other = App("other")


class Order(BaseModel):
    id: int


class Receipt(BaseModel):
    charge: str


@app.task(retry=Retry(attempts=2, first="1h", max="1h"), unique=Unique("id"))
async def fulfil(order: Order, ctx: Context) -> Receipt:
    charge = await ctx.step("charge", lambda: charge_card(order))
    await ctx.step_transaction("reserve", reserve)
    return Receipt(charge=charge)


async def reserve(db: Any) -> int:
    ran.append("reserve")
    return int(await db.fetchval("select 7"))


def charge_card(order: Order) -> str:
    ran.append("charge")
    return f"charged {order.id}"


@app.task(retry=Retry(attempts=2, first="1h", max="1h"))
def measure(path: str, ctx: SyncContext) -> int:
    size = ctx.step("open", lambda: len(path), retry=Retry(attempts=2, first=0.001))
    return ctx.step_transaction("note", lambda _: size)


@app.task(executor="process")
def crunch(to: int) -> int:
    return sum(range(to))


@app.task()
async def chain(left: int) -> None:
    ran.append(f"chain {left}")
    if left:
        await chain.enqueue({"left": left - 1}, priority="high")


@app.task()
async def for_ever() -> None:
    await for_ever.enqueue()


@app.task()
async def ask(of: int) -> int:
    return await (await crunch.enqueue({"to": of})).result(timeout=10)


@app.task(timeout=0.1, retry=Retry(attempts=1))
async def sleep() -> None:
    await asyncio.sleep(60)


@app.task()
async def snooze() -> None:
    raise Snooze("5m")


@other.task()
def elsewhere() -> str:
    return "here too"


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@pytest_asyncio.fixture
async def worker(database_url: str) -> AsyncIterator[testing.Worker]:
    async with testing.Worker([app, other], database_url) as running:
        yield running


async def test_a_task_runs_in_this_process_as_a_worker_runs_it(worker: testing.Worker) -> None:
    job = await worker.run(fulfil, Order(id=3), tags=["a"])
    assert (job.status, job.result, job.attempt, job.tags) == ("completed", {"charge": "charged 3"}, 1, ["a"])
    assert ran == ["charge", "reserve"]
    assert [step.name for step in await app.client.steps(job.id)] == ["charge", "reserve"]


@pytest.mark.parametrize(("task", "payload", "result"), [(measure, {"path": "abc"}, 3), (crunch, {"to": 4}, 6)])
async def test_plain_functions_run_too(worker: testing.Worker, task: Any, payload: Any, result: int) -> None:
    job = await worker.run(task, payload)
    assert (job.status, job.result) == ("completed", result)


async def test_tasks_of_several_apps_run_in_one_worker(worker: testing.Worker) -> None:
    assert (await worker.run(elsewhere)).result == "here too"


async def test_draining_runs_what_is_ready_in_its_order_and_what_that_enqueues(worker: testing.Worker) -> None:
    first = await chain.enqueue({"left": 2})
    second = await crunch.enqueue({"to": 2}, priority="low")
    later = await chain.enqueue({"left": 9}, delay="1h")
    jobs = await worker.drain()
    assert [job.payload for job in jobs] == [{"left": 2}, {"left": 1}, {"left": 0}, {"to": 2}]
    assert (jobs[0].id, jobs[-1].id) == (first.id, second.id)
    assert {job.status for job in jobs} == {"completed"}
    assert (await later.job()).status == "queued"
    assert await worker.drain() == []


async def test_draining_what_never_ends_is_an_error(worker: testing.Worker) -> None:
    await for_ever.enqueue()
    with pytest.raises(RuntimeError, match="still ready after 5 runs"):
        await worker.drain(limit=5)
    assert [job.status for job in await app.client.jobs()].count("queued") == 1


async def test_tasks_that_wait_for_one_another_need_more_slots(database_url: str) -> None:
    async with testing.Worker(app, database_url, slots=2) as worker:
        assert (await worker.run(ask, {"of": 4})).result == 6


async def test_time_passes_when_it_is_told_to(worker: testing.Worker) -> None:
    before = await worker.now()
    handle = await chain.enqueue({"left": 0}, delay="1h")
    assert await worker.drain() == []
    assert await worker.advance("59m") < await worker.advance("2m")
    (job,) = await worker.drain()
    assert (job.id, job.status) == (handle.id, "completed")
    assert timedelta(minutes=61) <= await worker.now() - before < timedelta(minutes=62)
    assert (await worker.run(snooze)).status == "queued"
    assert await worker.drain() == []
    await worker.advance("5m")
    assert [job.attempt for job in await worker.drain()] == [2]


async def test_a_job_that_expired_meanwhile_is_cancelled(worker: testing.Worker) -> None:
    expires = await worker.now() + timedelta(hours=1)
    handle = await chain.enqueue({"left": 0}, delay="30m", expires_at=expires)
    await worker.advance("2h")
    assert await worker.drain() == []
    assert ((await handle.job()).status, (await handle.job()).reason) == ("cancelled", "expired")


async def test_the_clock_is_real_again_afterwards(database_url: str, belt: Belt) -> None:
    async with testing.Worker(app, database_url) as worker:
        await worker.advance("30d")
    async with testing.Worker(app, database_url) as worker:
        assert abs(await worker.now() - belt.value("select clock_timestamp()")) < timedelta(minutes=1)


async def test_a_step_fails_as_planned_and_no_more(worker: testing.Worker) -> None:
    worker.fail_step("reserve", ConnectionError("down"))
    job = await worker.run(fulfil, Order(id=3))
    assert job.error is not None
    assert (job.status, job.failures, job.error.type, job.error.message) == ("queued", 1, "ConnectionError", "down")
    assert ran == ["charge"]
    await worker.advance("1h")
    (job,) = await worker.drain()
    assert (job.status, job.result, job.attempt) == ("completed", {"charge": "charged 3"}, 2)
    assert ran == ["charge", "reserve"]


async def test_a_step_of_a_plain_function_fails_as_planned_and_its_retries_count(worker: testing.Worker) -> None:
    worker.fail_step("open", OSError, times=1)
    assert (await worker.run(measure, {"path": "a"})).status == "completed"
    worker.fail_step("open", OSError, times=4)
    job = await worker.run(measure, {"path": "a"})
    assert job.failures == 1
    await worker.advance("1h")
    assert [job.status for job in await worker.drain()] == ["dead"]


async def test_a_job_past_its_timeout_is_stopped(worker: testing.Worker) -> None:
    job = await worker.run(sleep)
    assert job.error is not None
    assert (job.status, job.error.type) == ("dead", "TimedOut")


async def until_running(handle: Handle[Any]) -> None:
    while (await handle.job()).status != "running":  # noqa: ASYNC110 - it happens in the database
        await asyncio.sleep(0.005)


async def test_a_job_that_somebody_cancels_is_stopped(worker: testing.Worker) -> None:
    handle = await ask.enqueue({"of": 1}, timeout="1h")
    draining = asyncio.create_task(worker.drain())
    await until_running(handle)
    await handle.cancel()
    began = time.monotonic()
    job, *_ = await draining
    assert time.monotonic() - began < 5, "the job was not stopped, but gave up by itself"
    assert (job.id, job.status) == (handle.id, "cancelled")


async def test_what_runs_at_the_end_is_stopped_and_goes_back(database_url: str, belt: Belt) -> None:
    async with testing.Worker(app, database_url) as worker:
        handle = await ask.enqueue({"of": 1})
        draining = asyncio.create_task(worker.drain())
        await until_running(handle)
        draining.cancel()
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert belt.value("select status from esteira.job where id = %s", handle.id) == "queued"
    assert belt.value("select state from esteira.worker_status") == "stopped"


async def test_the_app_enqueues_where_it_did_before_once_the_worker_is_gone(database_url: str) -> None:
    mine = App("mine", database_url="postgresql://127.0.0.1:1/mine")
    async with testing.Worker(mine, database_url):
        assert mine.database_url == database_url
    assert mine.database_url == "postgresql://127.0.0.1:1/mine"


async def test_unique_fields_are_as_declared(worker: testing.Worker) -> None:
    await worker.drain()
    one, two = await fulfil.enqueue(Order(id=1)), await fulfil.enqueue(Order(id=1))
    assert one.id == two.id
    assert len(await worker.drain()) == 1


async def test_a_result_of_another_type_is_said_in_the_jobs_warnings(worker: testing.Worker) -> None:
    @other.task()
    async def odd() -> int:
        return "seven"  # type: ignore[return-value]

    async with testing.Worker(other, worker.database_url) as second:
        job: Job = await second.run(odd)
    del other.tasks[odd.name]
    assert (job.status, job.result) == ("completed", None)
    assert "not what the task declares to return" in job.warnings[0].detail


steps = App("steps")


@steps.task(steps=("one", "two"))
async def declared(ctx: Context) -> None:
    await ctx.step("one", reserve_nothing)


@steps.task()
async def without_context() -> None: ...


@steps.task(steps=("one",))
async def slipped(ctx: Context) -> None:
    await ctx.step("one", reserve_nothing())  # type: ignore[call-overload]


async def reserve_nothing() -> None: ...


async def test_a_task_may_be_named(database_url: str) -> None:
    async with testing.Worker(steps, database_url) as worker:
        assert (await worker.run("steps.declared", {})).status == "completed"
        with pytest.raises(UnknownTask, match=r'declares a task "own\.nope"; there are steps\.declared'):
            await worker.run("own.nope", {})


async def test_a_step_that_no_task_declares_cannot_fail(database_url: str) -> None:
    async with testing.Worker(steps, database_url) as worker:
        with pytest.raises(
            ConfigurationError, match='no task of this worker has a step "nosuch"; declared are one, two'
        ):
            worker.fail_step("nosuch", OSError)
        with pytest.raises(ConfigurationError, match="a step cannot raise 'OSError'"):
            worker.fail_step("one", "OSError")  # type: ignore[arg-type]


async def test_a_step_that_no_job_reached_fails_the_test(database_url: str) -> None:
    with pytest.raises(AssertionError, match='no job reached the step "two"'):  # noqa: PT012 - it is the end that raises
        async with testing.Worker(steps, database_url) as worker:
            worker.fail_step("one", OSError)
            worker.fail_step("two", OSError)
            assert (await worker.run(declared)).failures == 1


async def test_a_failing_test_is_not_covered_by_its_unreached_step(database_url: str) -> None:
    with pytest.raises(KeyError):  # noqa: PT012 - likewise
        async with testing.Worker(steps, database_url) as worker:
            worker.fail_step("two", OSError)
            raise KeyError


async def test_a_step_that_was_given_a_coroutine_ends_its_job_at_once_and_says_what_to_write(database_url: str) -> None:
    async with testing.Worker(steps, database_url) as worker:
        job = await worker.run(slipped)
    assert (job.status, job.error and job.error.type) == ("dead", "ConfigurationError")
    assert 'write ctx.step("one", function) without calling it' in str(job.error)
