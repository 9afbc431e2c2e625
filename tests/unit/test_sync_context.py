from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from pydantic import BaseModel

from esteira import (
    ConfigurationError,
    Context,
    DatabaseUnavailable,
    Fail,
    Interrupted,
    InvalidInput,
    LeaseLost,
    Retry,
    SyncContext,
)
from esteira.running import Claimed
from esteira.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.database import SyncConnection, SyncDatabase
    from tests.unit.conftest import Belt

    MakeContext = Callable[..., SyncContext]


class Receipt(BaseModel):
    day: date
    pages: tuple[int, ...]


RECEIPT = Receipt(day=date(2030, 1, 1), pages=(1, 2))


@dataclass
class Counter:
    """A step's function that knows how often it ran."""

    calls: int = 0
    failing: int = 0
    error: BaseException = field(default_factory=lambda: RuntimeError("not yet"))

    def run(self) -> int:
        self.calls += 1
        if self.calls <= self.failing:
            raise self.error
        return self.calls


@pytest.fixture
def context(sync_database: SyncDatabase) -> Any:
    made: list[SyncContext] = []

    def make(job: Claimed, **options: Any) -> SyncContext:
        made.append(SyncContext(job, sync_database, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def job(belt: Belt) -> Claimed:
    return belt.running()


@pytest.fixture
def stock(belt: Belt) -> Callable[[], int]:
    belt.connection.execute("create table stock (held int)")
    return lambda: int(belt.value("select count(*) from stock"))


def test_a_finished_step_is_not_run_again(context: MakeContext, belt: Belt, job: Claimed) -> None:
    counter = Counter()
    assert context(job).step("charge", counter.run) == 1
    assert context(belt.again(job)).step("charge", counter.run) == 1
    assert counter.calls == 1


def test_a_result_has_its_declared_type_on_the_first_run_and_on_the_replay(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    def render() -> Receipt:
        return RECEIPT

    assert context(job).step("render", render) == RECEIPT
    assert context(belt.again(job)).step("render", render) == RECEIPT


def test_a_result_that_cannot_be_stored_is_refused(context: MakeContext, job: Claimed) -> None:
    for result in (object(), float("nan"), "\0", "\ud800"):
        with pytest.raises(InvalidInput):
            context(job).step("odd", lambda value=result: value)  # type: ignore[misc]


def test_a_name_used_twice_or_not_declared_is_an_error(context: MakeContext, job: Claimed) -> None:
    ctx = context(job, steps=("a", "b"))
    ctx.step("a", Counter().run)
    for name in ("a", "c"):
        with pytest.raises(ConfigurationError):
            ctx.step(name, Counter().run)


def test_declared_steps_say_how_far_the_job_is(context: MakeContext, belt: Belt, job: Claimed) -> None:
    ctx = context(job, steps=("a", "b"))
    assert ctx.step("a", lambda: belt.job(job)["current_step"]) == "a"
    assert (belt.job(job)["progress"], belt.job(job)["current_step"]) == (0.5, "a")
    ctx.step_transaction("b", lambda _: None)
    assert (belt.job(job)["progress"], belt.job(job)["current_step"]) == (1, "b")


def test_a_step_is_tried_again_within_the_attempt(context: MakeContext, job: Claimed) -> None:
    assert context(job).step("charge", Counter(failing=2).run, retry=Retry(attempts=3, first=0.001)) == 3


def test_what_another_try_cannot_mend_is_raised_at_once(context: MakeContext, job: Claimed) -> None:
    for error in (KeyError, Fail, LeaseLost, Interrupted, SystemExit):
        counter = Counter(failing=9, error=error())
        with pytest.raises(error):
            context(job).step("charge", counter.run, retry=Retry(first=0.001, never_on=(KeyError,)))
        assert counter.calls == 1


def test_an_interrupt_ends_the_wait_before_the_next_try(context: MakeContext, job: Claimed) -> None:
    ctx = context(job)
    counter = Counter(failing=9)

    def fail_and_be_interrupted() -> int:
        threading.Timer(0.05, ctx.interrupt).start()
        return counter.run()

    with pytest.raises(Interrupted):
        ctx.step("charge", fail_and_be_interrupted, retry=Retry(attempts=9, first="1h", max="1h"))
    assert counter.calls == 1


def test_an_interrupted_attempt_can_do_nothing_more(context: MakeContext, belt: Belt, job: Claimed) -> None:
    ctx = context(job)
    ctx.interrupt()
    for call in (
        ctx.check,
        ctx.progress,
        lambda: ctx.step("a", Counter().run),
        lambda: ctx.step_transaction("b", lambda _: None),
        lambda: ctx.transaction().__enter__(),
    ):
        with pytest.raises(Interrupted):
            call()
    ctx.close()


def test_a_step_that_was_interrupted_meanwhile_is_not_stored(context: MakeContext, belt: Belt, job: Claimed) -> None:
    ctx = context(job)
    with pytest.raises(Interrupted):
        ctx.step("a", ctx.interrupt)
    assert belt.value("select count(*) from esteira.step") == 0


def test_step_transaction_commits_writes_and_checkpoint_together(
    context: MakeContext, belt: Belt, job: Claimed, stock: Callable[[], int]
) -> None:
    def reserve(db: SyncConnection) -> Receipt:
        db.execute("insert into stock values (1)")
        return RECEIPT

    assert context(job).step_transaction("reserve", reserve) == RECEIPT
    assert context(belt.again(job)).step_transaction("reserve", reserve) == RECEIPT
    assert stock() == 1


def test_step_transaction_that_raises_keeps_nothing(
    context: MakeContext, belt: Belt, job: Claimed, stock: Callable[[], int]
) -> None:
    def reserve(db: SyncConnection) -> None:
        db.execute("insert into stock values (1)")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        context(job).step_transaction("reserve", reserve)
    assert stock() == 0
    assert belt.value("select count(*) from esteira.step") == 0


def test_the_completing_transaction_commits_writes_and_result_together(
    context: MakeContext, belt: Belt, job: Claimed, stock: Callable[[], int]
) -> None:
    ctx = context(job)
    ctx.progress(0.1)
    ctx.progress(0.2, "last words")
    with ctx.transaction() as tx:
        tx.execute("insert into stock values (%s)", 7)
        assert tx.execute("select held from stock where held % 7 = 0").fetchone() == (7,)
        tx.complete(RECEIPT)
    assert ctx.completed
    done = belt.job(job)
    assert (done["status"], done["result"]) == ("completed", {"day": "2030-01-01", "pages": [1, 2]})
    assert done["progress_message"] == "last words"
    assert stock() == 1
    with pytest.raises(ConfigurationError, match="nothing can follow"):
        ctx.step("late", Counter().run)


def test_the_completing_transaction_takes_what_the_task_declares_to_return(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    def receipt() -> Receipt: ...

    with context(job, signature=Signature(receipt, SyncContext, Context)).transaction() as tx:
        with pytest.raises(InvalidInput, match="not what the task declares to return"):
            tx.complete({"day": "2030-01-01"})
        tx.complete(RECEIPT)
    assert belt.job(job)["result"] == {"day": "2030-01-01", "pages": [1, 2]}


def test_a_completing_transaction_that_raises_or_lacks_complete_keeps_nothing(
    context: MakeContext, belt: Belt, job: Claimed, stock: Callable[[], int]
) -> None:
    ctx = context(job)

    def handler() -> None:
        with ctx.transaction() as tx:
            tx.execute("insert into stock values (1)")
            tx.complete()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        handler()
    with pytest.raises(ConfigurationError, match=r"ended without tx.complete"), ctx.transaction() as tx:
        tx.execute("insert into stock values (1)")
    assert not ctx.completed
    assert belt.job(job)["status"] == "running"
    assert stock() == 0


def test_the_handlers_own_database_errors_stay_what_they_are(
    context: MakeContext, job: Claimed, stock: Callable[[], int]
) -> None:
    ctx = context(job)
    with pytest.raises(psycopg.errors.UndefinedTable):
        ctx.step_transaction("table", lambda db: db.execute("select * from no_such_table"))
    with pytest.raises(psycopg.errors.DivisionByZero):
        ctx.step_transaction("zero", lambda db: db.execute("select 1 / 0"))


def test_a_connection_lost_in_a_transaction_is_a_database_unavailable(
    context: MakeContext, belt: Belt, job: Claimed
) -> None:
    def handler() -> None:
        with context(job).transaction() as tx:
            tx.complete()
            belt.end_sessions()

    with pytest.raises(DatabaseUnavailable):
        handler()
    assert belt.job(job)["status"] == "running"
    with context(job).transaction() as tx:
        tx.complete()
    assert belt.job(job)["status"] == "completed"


def test_nothing_of_a_lost_job_is_kept(
    context: MakeContext, belt: Belt, job: Claimed, stock: Callable[[], int]
) -> None:
    def lose_it(db: SyncConnection) -> None:
        db.execute("insert into stock values (1)")
        belt.release(job)

    with pytest.raises(LeaseLost):
        context(job).step_transaction("reserve", lose_it)
    with pytest.raises(LeaseLost):
        context(job).step("charge", Counter().run)
    with pytest.raises(LeaseLost), context(job).transaction():
        pytest.fail("it must not get here")
    with pytest.raises(LeaseLost):
        context(job).progress(0.5)
    assert stock() == 0
    assert belt.value("select count(*) from esteira.step") == 0


def test_progress_is_shown_at_the_latest_when_the_attempt_ends(context: MakeContext, belt: Belt, job: Claimed) -> None:
    ctx = context(job)
    for percent in range(101):
        ctx.progress(percent / 100, f"{percent} %")
    ctx.close()
    assert (belt.job(job)["progress"], belt.job(job)["progress_message"]) == (1, "100 %")


def test_a_context_knows_its_token(context: MakeContext, belt: Belt, job: Claimed) -> None:
    ctx = context(belt.again(job))
    assert (ctx.job_id, ctx.attempt) == (job.id, 2)
