from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio
from pydantic import BaseModel

from esteira import (
    ConfigurationError,
    Context,
    DatabaseUnavailable,
    Fail,
    InvalidInput,
    JobCancelled,
    LeaseLost,
    Retry,
    Snooze,
    SyncContext,
)
from esteira.running import Claimed
from esteira.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.database import Connection, Database
    from tests.unit.conftest import Belt

    MakeContext = Callable[..., Context]


class Receipt(BaseModel):
    day: date
    pages: tuple[int, ...]


@dataclass
class Counter:
    """A step's function that knows how often it ran."""

    calls: int = 0
    failing: int = 0
    error: BaseException = field(default_factory=lambda: RuntimeError("not yet"))

    async def run(self) -> int:
        self.calls += 1
        if self.calls <= self.failing:
            raise self.error
        return self.calls


@pytest_asyncio.fixture
async def context(database: Database) -> Any:
    made: list[Context] = []

    def make(job: Claimed, **options: Any) -> Context:
        made.append(Context(job, database, **options))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
def job(belt: Belt) -> Claimed:
    return belt.running()


async def make_table(database: Database) -> None:
    await database.fetch("create table stock (held int)")


async def held(database: Database) -> int:
    value: int = await database.fetchval("select count(*) from stock")
    return value


# Steps


async def test_a_finished_step_is_not_run_again(context: MakeContext, belt: Belt, job: Claimed) -> None:
    counter = Counter()
    assert await context(job).step("charge", counter.run) == 1
    assert await context(belt.again(job)).step("charge", counter.run) == 1
    assert counter.calls == 1


async def test_a_step_that_raised_is_run_again(context: MakeContext, belt: Belt, job: Claimed) -> None:
    counter = Counter(failing=1)
    with pytest.raises(RuntimeError):
        await context(job).step("charge", counter.run)
    assert await context(belt.again(job)).step("charge", counter.run) == 2


async def test_a_result_has_its_declared_type_on_the_first_run_and_on_the_replay(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    async def render() -> Receipt:
        return Receipt(day=date(2030, 1, 1), pages=(1, 2))

    def positions() -> tuple[int, ...]:
        return (1, 2)

    first = context(job)
    second = None
    for run in (first, second):
        current = run or context(belt.again(job))
        assert await current.step("render", render) == await render()
        assert await current.step("positions", positions) == (1, 2)


async def test_a_result_without_a_declared_type_is_plain_json_on_the_first_run_too(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    assert await context(job).step("positions", lambda: (1, 2)) == [1, 2]
    assert await context(belt.again(job)).step("positions", lambda: (1, 2)) == [1, 2]


async def test_a_result_that_is_not_of_the_declared_type_is_refused_and_not_stored(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    def lie() -> int:
        return "many"  # type: ignore[return-value]

    with pytest.raises(InvalidInput, match='step "count" is not what its function declares'):
        await context(job).step("count", lie)
    assert belt.value("select count(*) from esteira.step") == 0


async def test_a_result_that_cannot_be_stored_is_refused(context: MakeContext, job: Claimed) -> None:
    for result in (object(), float("nan"), "\0", "\ud800"):
        with pytest.raises(InvalidInput):
            await context(job).step("odd", partial(lambda value: value, result))


async def test_a_step_may_give_nothing(context: MakeContext, belt: Belt, job: Claimed) -> None:
    counter = Counter()

    async def nothing() -> None:
        await counter.run()

    await context(job).step("nothing", nothing)
    await context(belt.again(job)).step("nothing", nothing)
    assert counter.calls == 1


async def test_a_name_used_twice_in_one_run_is_an_error(context: MakeContext, job: Claimed) -> None:
    ctx = context(job)
    await ctx.step("charge", Counter().run)
    with pytest.raises(ConfigurationError, match='"charge" was used in this run already'):
        await ctx.step("charge", Counter().run)


async def test_a_step_that_is_not_declared_is_an_error(context: MakeContext, job: Claimed) -> None:
    with pytest.raises(ConfigurationError, match='"c" is not among the declared ones: a, b'):
        await context(job, steps=("a", "b")).step("c", Counter().run)


async def test_declared_steps_say_how_far_the_job_is(context: MakeContext, belt: Belt, job: Claimed) -> None:
    ctx = context(job, steps=("a", "b", "c", "d"))
    for name, share in (("a", 0.25), ("c", 0.75), ("b", 0.75)):  # c overtook b
        await ctx.step(name, Counter().run)
        assert belt.job(job)["progress"] == share
        assert belt.job(job)["current_step"] == name
    later = context(belt.again(job), steps=("a", "b", "c", "d"))
    await later.step("a", Counter().run)
    await later.step("d", Counter().run)
    assert belt.job(job)["progress"] == 1


async def test_a_replay_knows_how_far_the_job_was(context: MakeContext, belt: Belt, job: Claimed) -> None:
    await context(job, steps=("a", "b", "c")).step("b", Counter().run)
    await context(belt.again(job), steps=("a", "b", "c")).step("a", Counter().run)
    assert belt.job(job)["progress"] == pytest.approx(2 / 3)


async def test_a_plain_function_runs_off_the_loop(context: MakeContext, job: Claimed) -> None:
    assert await context(job).step("thread", threading.get_ident) != threading.get_ident()


async def test_a_partial_of_an_async_function_runs_on_the_loop(context: MakeContext, job: Claimed) -> None:
    async def where(_: int) -> int:
        return threading.get_ident()

    assert await context(job).step("loop", partial(where, 1)) == threading.get_ident()


async def test_a_plain_function_that_gives_a_coroutine_is_awaited(context: MakeContext, job: Claimed) -> None:
    def start() -> Any:
        return Counter().run()

    assert await context(job).step("start", start) == 1


async def test_steps_may_run_side_by_side(context: MakeContext, belt: Belt, job: Claimed) -> None:
    ctx = context(belt.again(job))
    barrier = asyncio.Barrier(2)

    async def meet() -> int:
        return await barrier.wait()

    assert sorted(await asyncio.gather(ctx.step("a", meet), ctx.step("b", meet))) == [0, 1]
    assert belt.value("select count(*) from esteira.step") == 2


# A step's retry and timeout


async def test_a_step_is_tried_again_within_the_attempt(context: MakeContext, job: Claimed) -> None:
    counter = Counter(failing=2)
    assert await context(job).step("charge", counter.run, retry=Retry(attempts=3, first=0.001)) == 3


async def test_a_steps_last_failure_is_raised(context: MakeContext, job: Claimed) -> None:
    counter = Counter(failing=9)
    with pytest.raises(RuntimeError, match="not yet"):
        await context(job).step("charge", counter.run, retry=Retry(attempts=2, first=0.001))
    assert counter.calls == 2


async def test_what_another_try_cannot_mend_is_raised_at_once(context: MakeContext, job: Claimed) -> None:
    retry = Retry(attempts=3, first=0.001, never_on=(KeyError,))
    for error in (KeyError, Fail, Snooze, LeaseLost, asyncio.CancelledError, SystemExit):
        counter = Counter(failing=9, error=error("5m"))
        with pytest.raises(error):
            await context(job).step("charge", counter.run, retry=retry)
        assert counter.calls == 1


async def test_cancelling_a_step_with_a_retry_does_not_try_again(context: MakeContext, job: Claimed) -> None:
    began = asyncio.Event()
    calls = 0

    async def hang() -> None:
        nonlocal calls
        calls += 1
        began.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(context(job).step("hang", hang, retry=Retry(attempts=3, first=0.001)))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert calls == 1


async def test_a_step_that_takes_too_long_is_stopped(context: MakeContext, job: Claimed) -> None:
    stopped = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(TimeoutError):
        await context(job).step("hang", hang, timeout="10ms")
    assert stopped.is_set()


async def test_the_timeout_is_of_each_try(context: MakeContext, job: Claimed) -> None:
    calls = 0

    async def slow_once() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Event().wait()
        return calls

    assert await context(job).step("slow", slow_once, timeout="10ms", retry=Retry(attempts=2, first=0.001)) == 2


async def test_a_plain_function_that_takes_too_long_is_left_behind(context: MakeContext, job: Claimed) -> None:
    free = threading.Event()
    with pytest.raises(TimeoutError):
        await context(job).step("hang", free.wait, timeout="10ms")
    free.set()


# Transactions


async def test_step_transaction_commits_writes_and_checkpoint_together(
    context: MakeContext, belt: Belt, job: Claimed, database: Database
) -> None:
    await make_table(database)

    async def reserve(db: Connection) -> Receipt:
        await db.execute("insert into stock values (1)")
        return Receipt(day=date(2030, 1, 1), pages=(1,))

    receipt = await context(job).step_transaction("reserve", reserve)
    assert receipt == await context(belt.again(job)).step_transaction("reserve", reserve)
    assert isinstance(receipt, Receipt)
    assert await held(database) == 1


async def test_step_transaction_that_raises_keeps_nothing(
    context: MakeContext, belt: Belt, job: Claimed, database: Database
) -> None:
    await make_table(database)

    async def reserve(db: Connection) -> None:
        await db.execute("insert into stock values (1)")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await context(job).step_transaction("reserve", reserve)
    assert await held(database) == 0
    assert belt.value("select count(*) from esteira.step") == 0


async def test_the_completing_transaction_commits_writes_and_result_together(
    context: MakeContext, belt: Belt, job: Claimed, database: Database
) -> None:
    await make_table(database)
    ctx = context(job)
    async with ctx.transaction() as tx:
        await tx.execute("insert into stock values ($1)", 7)
        assert await tx.fetchval("select held from stock") == 7
        assert (await tx.fetchrow("select held from stock"))["held"] == 7
        assert [row["held"] for row in await tx.fetch("select held from stock")] == [7]
        await tx.complete(Receipt(day=date(2030, 1, 1), pages=(1,)))
        assert belt.job(job)["status"] == "running"
    assert ctx.completed
    assert belt.job(job)["status"] == "completed"
    assert belt.job(job)["result"] == {"day": "2030-01-01", "pages": [1]}
    assert await held(database) == 1


async def test_a_completing_transaction_that_raises_keeps_nothing(
    context: MakeContext, belt: Belt, job: Claimed, database: Database
) -> None:
    await make_table(database)
    ctx = context(job)

    async def handler() -> None:
        async with ctx.transaction() as tx:
            await tx.execute("insert into stock values (1)")
            await tx.complete()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await handler()
    assert not ctx.completed
    assert belt.job(job)["status"] == "running"
    assert await held(database) == 0


async def test_leaving_without_complete_is_an_error_and_keeps_nothing(
    context: MakeContext, belt: Belt, job: Claimed, database: Database
) -> None:
    await make_table(database)
    with pytest.raises(ConfigurationError, match=r"ended without tx.complete"):
        async with context(job).transaction() as tx:
            await tx.execute("insert into stock values (1)")
    assert belt.job(job)["status"] == "running"
    assert await held(database) == 0


async def test_cancelling_in_the_completing_transaction_keeps_nothing(
    context: MakeContext, belt: Belt, job: Claimed, database: Database
) -> None:
    await make_table(database)
    inside = asyncio.Event()

    async def handler() -> None:
        async with context(job).transaction() as tx:
            await tx.execute("insert into stock values (1)")
            await tx.complete()
            inside.set()
            await tx.execute("select pg_sleep(60)")

    running = asyncio.create_task(handler())
    await inside.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert belt.job(job)["status"] == "running"
    assert await held(database) == 0


async def test_a_result_that_cannot_be_stored_rolls_the_transaction_back(
    context: MakeContext, belt: Belt, job: Claimed, database: Database
) -> None:
    await make_table(database)

    async def handler() -> None:
        async with context(job).transaction() as tx:
            await tx.execute("insert into stock values (1)")
            await tx.complete(float("nan"))

    with pytest.raises(InvalidInput):
        await handler()
    assert await held(database) == 0


async def test_the_completing_transaction_takes_what_the_task_declares_to_return(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    async def receipt() -> Receipt: ...
    async def nothing() -> None: ...

    async with context(job, signature=Signature(receipt, Context, SyncContext)).transaction() as tx:
        with pytest.raises(InvalidInput, match="not what the task declares to return"):
            await tx.complete({"day": "2030-01-01"})
        await tx.complete({"day": "2030-01-01", "pages": [1]})
    assert belt.job(job)["result"] == {"day": "2030-01-01", "pages": [1]}

    job = belt.running()
    async with context(job, signature=Signature(nothing, Context, SyncContext)).transaction() as tx:
        await tx.complete("a function without a result of its own says nothing of it")
    assert belt.job(job)["status"] == "completed"


async def test_nothing_can_follow_the_completing_transaction(context: MakeContext, job: Claimed) -> None:
    ctx = context(job)
    async with ctx.transaction() as tx:
        await tx.complete()
    for late in (ctx.step("late", Counter().run), ctx.progress(0.5), ctx.transaction().__aenter__()):
        with pytest.raises(ConfigurationError, match="nothing can follow"):
            await late


async def test_a_step_inside_the_completing_transaction_is_refused_at_once(context: MakeContext, job: Claimed) -> None:
    ctx = context(job)
    async with ctx.transaction() as tx:
        with pytest.raises(ConfigurationError, match="finish all steps before it"):
            await ctx.step("late", Counter().run)
        await tx.complete()


async def test_the_handlers_own_database_errors_stay_what_they_are(context: MakeContext, job: Claimed) -> None:
    async def break_a_rule(db: Connection) -> None:
        await db.execute("create table rule (n int check (n > 0))")
        await db.execute("insert into rule values (-1)")

    async def miss_a_table(db: Connection) -> None:
        await db.execute("select * from no_such_table")

    async def misuse(db: Connection) -> None:
        await db.execute("select $1::int")

    async def raise_ours(_: Connection) -> None:
        raise JobCancelled.__new__(JobCancelled)

    ctx = context(job)
    for name, function, error in (
        ("rule", break_a_rule, asyncpg.CheckViolationError),
        ("table", miss_a_table, asyncpg.UndefinedTableError),
        ("misuse", misuse, asyncpg.PostgresError),
        ("ours", raise_ours, JobCancelled),
    ):
        with pytest.raises(error):
            await ctx.step_transaction(name, function)


async def test_a_connection_lost_in_a_transaction_is_a_database_unavailable(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    async def handler() -> None:
        async with context(job).transaction() as tx:
            await tx.complete()
            belt.end_sessions()

    with pytest.raises(DatabaseUnavailable):
        await handler()
    assert belt.job(job)["status"] == "running"
    async with context(job).transaction() as tx:
        await tx.complete()
    assert belt.job(job)["status"] == "completed"


# The lease


async def test_a_step_of_a_lost_job_is_not_kept(context: MakeContext, belt: Belt, job: Claimed) -> None:
    with pytest.raises(LeaseLost, match=f"attempt 1 no longer holds job {job.id}"):
        await context(job).step("charge", lambda: belt.release(job))
    assert belt.value("select count(*) from esteira.step") == 0


async def test_a_step_transaction_of_a_lost_job_is_rolled_back(
    context: MakeContext, belt: Belt, job: Claimed, database: Database
) -> None:
    await make_table(database)

    async def reserve(db: Connection) -> None:
        await db.execute("insert into stock values (1)")
        belt.release(job)

    with pytest.raises(LeaseLost):
        await context(job).step_transaction("reserve", reserve)
    assert await held(database) == 0


async def test_the_completing_transaction_of_a_lost_job_does_not_begin(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    ctx = context(job)
    belt.again(job)
    with pytest.raises(LeaseLost):
        async with ctx.transaction():
            pytest.fail("it must not get here")


async def test_an_attempt_that_noticed_its_lost_lease_runs_no_further_step(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    ctx = context(job)
    belt.release(job)
    await ctx.progress(0.5)
    await ctx.close()
    for late in (ctx.progress(0.6), ctx.step("late", lambda: pytest.fail("it ran")), ctx.transaction().__aenter__()):
        with pytest.raises(LeaseLost):
            await late


# Progress


async def test_progress_is_shown_at_the_latest_when_the_attempt_ends(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    ctx = context(job)
    for percent in range(101):
        await ctx.progress(percent / 100, f"{percent} %")
    await ctx.close()
    assert (belt.job(job)["progress"], belt.job(job)["progress_message"]) == (1, "100 %")


async def test_progress_is_shown_with_each_step_and_before_the_job_completes(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    ctx = context(job)

    async def say(word: str) -> None:
        # Right after a write, so that the word would wait for its turn.
        await ctx.progress(message="")
        await ctx._progress.flush()
        await ctx.progress(message=word)

    await ctx.step("a", partial(say, "in a"))
    assert belt.job(job)["progress_message"] == "in a"
    await say("after a")
    await ctx.step_transaction("b", lambda _: say("in b"))
    assert belt.job(job)["current_step"] == "b"
    await say("last words")
    async with ctx.transaction() as tx:
        assert belt.job(job)["progress_message"] == "last words"
        await tx.complete()
    assert belt.job(job)["progress_message"] == "last words"


def test_a_context_knows_its_token(database_url: str, belt: Belt, job: Claimed) -> None:
    ctx = Context(belt.again(job), None)  # type: ignore[arg-type]
    assert (ctx.job_id, ctx.attempt) == (job.id, 2)
