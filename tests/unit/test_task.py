from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, Field

from esteira import App, ConfigurationError, Context, InvalidInput, Retry, SyncContext, Unique, UnknownTask

if TYPE_CHECKING:
    from tests.unit.conftest import Belt


class Order(BaseModel):
    id: int


def resize(path: str) -> int:
    return len(path)


async def test_a_task_still_is_the_plain_function() -> None:
    app = App("shop")
    doubled = app.task()(resize)
    assert doubled("ab") == 2
    assert doubled.__doc__ == resize.__doc__

    @app.task()
    async def double(number: int) -> int:
        """Double it."""
        return 2 * number

    assert await double(4) == 8
    assert double.__doc__ == "Double it."


def test_tasks_are_named_after_app_and_function() -> None:
    app = App("shop")
    assert app.task()(resize).name == "shop.resize"
    assert app.task(name="shrink")(resize).name == "shop.shrink"
    assert app["shop.shrink"].function is resize
    assert repr(app["shop.resize"]) == "Task('shop.resize')"


def test_a_task_that_is_not_declared_is_unknown() -> None:
    with pytest.raises(UnknownTask, match=r'App\(\'shop\'\) declares no task "shop.nothing"'):
        App("shop")["shop.nothing"]


def test_the_declaration_says_all_that_the_database_needs() -> None:
    app = App("shop")
    retry = Retry(attempts=5, first="2s", max="5m")
    task = app.task(queue="slow", priority="high", retry=retry, timeout="10m", steps=("a", "b"), version=7)(resize)
    declaration = task.declaration()
    assert declaration.pop("payload_schema")["required"] == ["path"]
    assert declaration == {
        "name": "shop.resize",
        "version": 7,
        "queue": "slow",
        "priority": "high",
        "max_attempts": 5,
        "retry_first_seconds": 2,
        "retry_max_seconds": 300,
        "timeout_seconds": 600,
        "executor": "thread",
        "steps": ["a", "b"],
        "unique_fields": None,
        "unique_on_conflict": None,
    }


def test_unique_fields_are_declared_by_their_names_in_json() -> None:
    def send(order: Order, customer: Annotated[str, Field(alias="to")]) -> None: ...

    declaration = App("shop").task(unique=Unique("order", "to", on_conflict="reject"))(send).declaration()
    assert (declaration["unique_fields"], declaration["unique_on_conflict"]) == (["order", "to"], "reject")

    def pay(order: Order) -> None: ...

    assert App("shop").task(unique=Unique("id"))(pay).declaration()["unique_fields"] == ["id"]


def test_what_is_not_said_is_as_documented() -> None:
    policy = App("shop").task()(resize).policy
    assert (policy.queue, policy.priority, policy.timeout) == ("default", "normal", timedelta(hours=1))
    assert policy.retry == Retry()


def test_the_executor_follows_the_kind_of_function() -> None:
    async def wait() -> None: ...

    app = App("shop")
    assert app.task()(wait).policy.executor == "async"
    assert app.task()(resize).policy.executor == "thread"
    assert app.task(name="killable", executor="process")(resize).policy.executor == "process"


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


async def with_sync_context(ctx: SyncContext) -> None: ...
def with_async_context(ctx: Context) -> None: ...
def with_untyped_context(path: str, ctx) -> None: ...  # type: ignore[no-untyped-def]
async def with_untyped_context_too(ctx) -> None: ...  # type: ignore[no-untyped-def]
async def wait() -> None: ...


class Shop:
    def open(self, path: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "hint"),
    [
        (wait, {"executor": "thread"}, 'an async function runs in the executor "async"'),
        (resize, {"executor": "async"}, 'a plain function does not run in the executor "async"'),
        (resize, {"executor": "fibre"}, '"fibre" is none of async, thread, process'),
        (resize, {"priority": "urgent"}, '"urgent" is none of low, normal, high, critical'),
        (resize, {"queue": "no spaces"}, '"no spaces" is no name'),
        (resize, {"name": "no spaces"}, "is no name"),
        (resize, {"name": "relatório"}, 'relatório" is no name: use 1 to 100 letters of ASCII, digits'),
        (resize, {"timeout": 0}, "a timeout of 0"),
        (resize, {"timeout": "soon"}, '"soon" is not a duration'),
        (resize, {"steps": ("a", "b", "a")}, "declared twice"),
        (resize, {"unique": Unique("size")}, "size is no field of the payload: path"),
        (wait, {"unique": Unique("size")}, "size is no field of the payload: none"),
        (resize, {"unique": "path"}, r'is to be a Unique, such as Unique\("id"\)'),
        (generator, {}, "a generator does nothing"),
        (async_generator, {}, "a generator does nothing"),
        (resize, {"steps": "abc"}, r'steps="abc" is one name; a task has several: steps=\("abc",\)'),
        (resize, {"version": 0}, "version=0 is to be a number; 1 is the first"),
        (resize, {"version": "1.0"}, "is to be a number"),
        (with_untyped_context, {}, "ctx has no type: write `ctx: SyncContext` for the running attempt"),
        (with_untyped_context_too, {}, "ctx has no type: write `ctx: Context`"),
        (Shop.open, {}, "self is of a method, and there is no object when a job runs"),
        (with_sync_context, {}, "is to be a Context"),
        (with_async_context, {}, "is to be a SyncContext"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(function: Any, options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        App("shop").task(**options)(function)


def test_a_name_declared_twice_is_refused() -> None:
    app = App("shop")
    app.task()(resize)
    with pytest.raises(ConfigurationError, match=r'"shop\.resize" is declared twice'):
        app.task()(resize)


def test_an_app_needs_a_name_that_can_stand_before_its_tasks() -> None:
    with pytest.raises(ConfigurationError, match="is no name"):
        App("my shop")


async def test_enqueue_validates_before_it_asks_the_database(app: App, belt: Belt) -> None:
    task = app.task()(fulfil_plain)
    with pytest.raises(InvalidInput, match="the payload does not fit"):
        await task.enqueue({"id": "x"})
    assert belt.value("select count(*) from esteira.job") == 0


async def fulfil_plain(order: Order) -> Order:
    return order


async def test_what_is_enqueued_gives_a_typed_result(app: App, belt: Belt) -> None:
    task = app.task(queue="default")(fulfil_plain)
    handle = await task.enqueue(Order(id=3), tags=["a"])
    job = belt.claim("app.fulfil_plain")
    assert task.signature.decode(job.payload) == {"order": Order(id=3)}
    belt.complete(job, '{"id": 3}')
    assert await handle.result() == Order(id=3)
    assert (await handle.job()).tags == ["a"]


async def test_a_task_is_enqueued_by_either_client_too(app: App, belt: Belt) -> None:
    task = app.task(queue="default")(fulfil_plain)
    handles = [await app.client.enqueue(task, Order(id=3)), await app.client.enqueue(task, {"id": 4})]
    plain = await asyncio.to_thread(app.sync_client.enqueue, task, Order(id=5))
    ids = await app.client.enqueue_many([task.new_job(Order(id=6))])
    for job_id, number in zip([*(handle.id for handle in handles), plain.id, *ids], (3, 4, 5, 6), strict=True):
        assert (await app.client.get(job_id)).payload == {"id": number}
    with pytest.raises(InvalidInput, match="the payload does not fit"):
        await app.client.enqueue(task, {"id": "x"})
    for number in (3, 4, 5):
        job = belt.claim(task.name)
        belt.complete(job, f'{{"id": {number}}}')
    assert await handles[0].result() == Order(id=3)
    assert await asyncio.to_thread(plain.result) == Order(id=5)


def test_plain_code_enqueues_and_awaits_without_a_loop(database_url: str, belt: Belt) -> None:
    app = App("app", database_url=database_url)
    task = app.task()(resize)
    handle = task.enqueue_sync({"path": "ab"}, tags=["a"])
    assert handle.job().tags == ["a"]
    belt.complete(belt.claim("app.resize"), "2")
    assert handle.result() == 2
    with pytest.raises(InvalidInput, match="the payload does not fit"):
        task.enqueue_sync({"path": 7})
    app.close_sync()
    assert task.enqueue_sync({"path": "after closing it opens another"}).job().status == "queued"
    app.close_sync()
