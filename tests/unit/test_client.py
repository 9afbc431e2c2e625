from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from pydantic import BaseModel, TypeAdapter

from esteira import (
    Client,
    DatabaseUnavailable,
    Handle,
    IllegalTransition,
    InvalidInput,
    JobCancelled,
    JobFailed,
    JobFilter,
    JobNotFound,
    NewJob,
    Page,
    Retry,
    SchemaMismatch,
    SyncClient,
    SyncHandle,
)
from esteira.database import Database
from esteira.retry import RetryChange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from esteira.database import Database, SyncDatabase
    from tests.unit.conftest import Belt

    Connect = Callable[..., Awaitable[asyncpg.Connection[Any]]]


class Threaded:
    """A synchronous client, or handle, with the interface of the asynchronous one."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._plain, name)

        async def call(*args: Any, **options: Any) -> Any:
            answer = await asyncio.to_thread(value, *args, **options)
            return Threaded(answer) if isinstance(answer, SyncHandle) else answer

        return call if callable(value) else value


async def listening(connect: Connect) -> asyncio.Queue[str]:
    heard: asyncio.Queue[str] = asyncio.Queue()
    connection = await connect()
    await connection.add_listener("esteira", lambda *hint: heard.put_nowait(hint[3]))
    return heard


@pytest_asyncio.fixture(params=["asynchronous", "synchronous"])
async def client(request: pytest.FixtureRequest, database: Database, sync_database: SyncDatabase) -> AsyncIterator[Any]:
    """Every test of this file is one of both clients."""
    if request.param == "asynchronous":
        async with Client(database=database) as opened:
            yield opened
    else:
        with SyncClient(database=sync_database) as opened:
            yield Threaded(opened)


# Enqueueing


async def test_a_job_is_what_was_asked_for(client: Client) -> None:
    handle = await client.enqueue(
        "shop.send",
        {"id": 1},
        queue="mail",
        priority="high",
        delay="1h",
        retry=Retry(attempts=5, first="2s", max="5m"),
        timeout="10m",
        metadata={"order": 7},
        tags=["a", 'b"c'],
    )
    job = await client.get(handle.id)
    assert (job.task, job.payload, job.queue, job.priority) == ("shop.send", {"id": 1}, "mail", "high")
    assert (job.status, job.done, job.max_attempts, job.timeout_seconds) == ("queued", False, 5, 600)
    assert (job.metadata, job.tags) == ({"order": 7}, ["a", 'b"c'])
    assert job.run_at - job.created_at == timedelta(hours=1)


async def test_what_is_not_said_is_as_documented(client: Client) -> None:
    job = await (await client.enqueue("t")).job()
    assert (job.payload, job.queue, job.priority, job.max_attempts) == ({}, "default", "normal", 3)


async def test_of_many_jobs_enqueued_at_once_one_tells_of_itself_as_it_commits(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esteira.notifier.QUIET_SECONDS", 3600)
    told = []
    fetch = Database.fetch

    async def watched(database: Database, query: Any, *args: Any, **options: Any) -> Any:
        rows = await fetch(database, query, *args, **options)
        told.extend(row["notified"] for row in rows if row.get("notified") is not None)
        return rows

    monkeypatch.setattr(Database, "fetch", watched)
    async with Client(database_url) as client:
        await asyncio.gather(*(client.enqueue("t") for _ in range(50)))
    assert sorted(told) == [False] * 49 + [True]


async def test_many_jobs_keep_their_order(client: Client) -> None:
    ids = await client.enqueue_many([NewJob(f"t{number}") for number in range(5)])
    found = await client.get_many(ids)
    assert [found[job_id].task for job_id in ids] == ["t0", "t1", "t2", "t3", "t4"]
    assert await client.enqueue_many([]) == []


async def test_one_refused_job_refuses_all(client: Client) -> None:
    with pytest.raises(InvalidInput, match="no name"):
        await client.enqueue_many([NewJob("good"), NewJob("no good")])
    assert await client.jobs() == []


async def test_a_job_of_no_task_is_refused_as_such(client: Client) -> None:
    with pytest.raises(InvalidInput):
        await client.enqueue_many([NewJob(None)])  # type: ignore[arg-type]


async def test_what_cannot_be_stored_is_refused_with_its_reason(client: Client) -> None:
    nan = float("nan")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"task": ""}, "no name"),
        ({"task": "t\0"}, "0x00"),
        ({"task": "\ud800"}, "surrogates"),
        ({"task": "t", "payload": nan}, "json"),
        ({"task": "t", "payload": "\0"}, "NUL"),
        ({"task": "t", "payload": "\ud800"}, "surrogates"),
        ({"task": "t", "priority": "urgent"}, "priority must be"),
        ({"task": "t", "timeout": 0}, "job_limits_are_positive"),
        ({"task": "t", "metadata": [1]}, "object"),
        ({"task": "t", "tags": "abc"}, "is a word"),
        ({"task": "t", "retry": Retry(never_on=(ValueError,))}, "never_on belongs to the task"),
        ({"task": "t", "run_at": datetime(2030, 1, 1)}, "no time zone"),  # noqa: DTZ001
        ({"task": "t", "run_at": "2030-01-01T00:00:00Z"}, "is to be a datetime"),
        ({"task": "t", "delay": timedelta.max}, "out of range"),
    ]
    for options, reason in refused:
        with pytest.raises(InvalidInput, match=reason):
            await client.enqueue(**options)
    assert await client.jobs() == []


async def test_a_retry_change_leaves_the_rest_as_declared(client: Client, belt: Belt) -> None:
    await client.enqueue("t", retry=RetryChange(first=timedelta(seconds=7)))
    row = belt.connection.execute(
        "select max_attempts, retry_first_seconds, retry_max_seconds from esteira.job"
    ).fetchone()
    assert row is not None
    assert tuple(row.values()) == (None, 7, None)


async def test_workers_hear_of_new_and_of_retried_jobs(client: Client, connect: Connect) -> None:
    heard = await listening(connect)
    handle = await client.enqueue("t", queue="mail")
    assert await heard.get() == "mail"
    await handle.cancel()
    await client.retry(handle.id)
    assert await heard.get() == "mail"


# Reading


async def test_a_job_that_is_not_there_is_not_found_whatever_one_asks(client: Client) -> None:
    nobody = uuid4()
    for ask in (
        client.get,
        client.wait,
        client.cancel,
        client.retry,
        client.explain,
        client.steps,
        client.attempts,
        lambda job_id: Handle(job_id, client, TypeAdapter(Any)).result(),
    ):
        with pytest.raises(JobNotFound, match=str(nobody)):
            await ask(nobody)
    assert await client.get_many([nobody]) == {}
    assert await client.live([nobody]) == set()


async def test_a_finished_job_has_its_result(client: Client, belt: Belt) -> None:
    claimed = belt.running(payload='{"a": 1}')
    belt.complete(claimed, '{"sum": 123456789012345678901234567890}')
    job = await client.get(claimed.id)
    assert (job.status, job.done, job.progress) == ("completed", True, 1)
    assert (job.payload, job.result) == ({"a": 1}, {"sum": 123456789012345678901234567890})
    assert job.execution_time_seconds is not None
    assert (await client.get_many([claimed.id]))[claimed.id] == job


async def test_live_jobs_can_be_read_without_their_payloads(client: Client, belt: Belt) -> None:
    live = belt.running(payload='{"a": 1}')
    ended = belt.running(payload='{"b": 2}')
    belt.complete(ended)
    found = await client.get_many([live.id, ended.id], payloads=False)
    assert (found[live.id].payload, found[ended.id].payload) == (None, {"b": 2})
    assert await client.live([live.id, ended.id]) == {live.id}


async def test_jobs_are_listed_newest_first_by_what_is_asked_for(client: Client, belt: Belt) -> None:
    ids = [(await client.enqueue(task, queue=queue)).id for task, queue in (("a", "x"), ("b", "x"), ("a", "y"))]
    await client.cancel(ids[0])

    async def listed(page: Page | None = None, **wanted: Any) -> list[int]:
        return [ids.index(job.id) for job in await client.jobs(JobFilter(**wanted), page)]

    assert await listed() == [2, 1, 0]
    assert await listed(queue="x") == [1, 0]
    assert await listed(task="a", status=["queued"]) == [2]
    assert await listed(Page(limit=2), status=["queued", "cancelled"]) == [2, 1]
    assert await listed(Page(after=(None, ids[1]))) == [0]
    assert await listed(Page(sort="created_at", offset=1)) == [1, 2]
    assert await listed(stuck=True) == []


async def test_steps_and_attempts_are_read_with_their_values(client: Client, belt: Belt) -> None:
    claimed = belt.running()
    belt.connection.execute("select esteira.save_step(%s, 1, 'a', '[1]', now())", (claimed.id,))
    assert await client.attempts(claimed.id) == []
    belt.fail(claimed)
    (step,) = await client.steps(claimed.id)
    (attempt,) = await client.attempts(claimed.id)
    assert (step.name, step.result, step.attempt) == ("a", [1], 1)
    assert attempt.error is not None
    assert (attempt.outcome, attempt.error.type, attempt.error.attempt) == ("failed", "Boom", 1)


async def test_queues_and_workers_are_read(client: Client, belt: Belt) -> None:
    await client.enqueue("t", queue="mail")
    belt.connection.execute("select esteira.register(%s, 'host', 1, '0', '{mail}', 1, 10, '[]')", (belt.worker,))
    belt.connection.execute("select esteira.tick()")
    (queue,) = await client.queues()
    (worker,) = await client.workers()
    assert (queue.queue, queue.ready, queue.workers) == ("mail", 1, 1)
    assert (worker.id, worker.queues, worker.state) == (belt.worker, ["mail"], "alive")
    await client.enqueue("t", queue="film")
    assert await client.unserved_queues() == ["film"]
    assert await client.declared(["t"]) == set()


async def test_explain_says_why_a_job_waits(client: Client) -> None:
    handle = await client.enqueue("t", delay="1h")
    explanation = await client.explain(handle.id)
    assert explanation.code == "scheduled"
    assert " " in explanation.detail


async def test_only_the_schema_of_this_release_will_do(client: Client, belt: Belt, empty_database_url: str) -> None:
    await client.check_schema()
    belt.connection.execute("update esteira.alembic_version set version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="9999"):
        await client.check_schema()
    async with Client(empty_database_url) as empty:
        with pytest.raises(SchemaMismatch, match="no Esteira schema"):
            await empty.check_schema()
        with pytest.raises(SchemaMismatch, match="run `esteira migrate`"):
            await empty.enqueue("t")


# Acting and waiting


async def test_cancelling_what_has_not_begun_ends_it_and_asks_what_runs(client: Client, belt: Belt) -> None:
    running = belt.running()
    assert (await client.cancel(running.id)).cancel_requested_at is not None
    handle = await client.enqueue("t")
    assert (await handle.cancel()).status == "cancelled"
    with pytest.raises(IllegalTransition, match="is cancelled"):
        await handle.cancel()


async def test_only_what_ended_without_success_can_be_retried(client: Client, belt: Belt) -> None:
    claimed = belt.running()
    with pytest.raises(IllegalTransition, match="is running"):
        await client.retry(claimed.id)
    belt.fail(claimed)
    job = await client.retry(claimed.id)
    assert (job.status, job.generation, job.failures, job.attempt) == ("queued", 2, 0, 1)


async def test_waiting_ends_with_the_job_or_with_the_time(client: Client, belt: Belt) -> None:
    claimed = belt.running()
    assert (await client.wait(claimed.id, timeout=0)).status == "running"
    assert (await client.wait(claimed.id, timeout="50ms")).status == "running"
    waiting = asyncio.create_task(client.wait(claimed.id))
    await asyncio.sleep(0)
    belt.complete(claimed)
    assert (await waiting).status == "completed"


class Receipt(BaseModel, strict=True):
    at: datetime
    pages: tuple[int, ...]


async def test_a_result_has_its_declared_type(client: Client, belt: Belt) -> None:
    claimed = belt.running()
    belt.complete(claimed, '{"at": "2030-01-01T00:00:00Z", "pages": [1]}')
    handle = Handle(claimed.id, client, TypeAdapter(Receipt))
    assert await handle.result() == Receipt(at=datetime(2030, 1, 1, tzinfo=UTC), pages=(1,))
    assert repr(handle) == f"Handle({claimed.id})"


async def test_a_result_of_another_type_is_no_result(client: Client, belt: Belt) -> None:
    claimed = belt.running()
    belt.connection.execute(
        "select esteira.complete(array[%s], array[1], array['null'::jsonb], array['it was too odd'])", (claimed.id,)
    )
    with pytest.raises(InvalidInput, match="it was too odd"):
        await Handle(claimed.id, client, TypeAdapter(Receipt)).result()
    assert await Handle(claimed.id, client, TypeAdapter(None)).result() is None


async def test_a_job_without_success_has_no_result_but_says_why(client: Client, belt: Belt) -> None:
    claimed = belt.running()
    handle = Handle(claimed.id, client, TypeAdapter(Any))
    with pytest.raises(TimeoutError, match="still running"):
        await handle.result(timeout="10ms")
    belt.fail(claimed)
    with pytest.raises(JobFailed, match="is dead: Boom: no") as failed:
        await handle.result()
    assert failed.value.job.status == "dead"
    other = await client.enqueue("t")
    await other.cancel()
    with pytest.raises(JobCancelled) as cancelled:
        await other.result()
    assert cancelled.value.job.id == other.id


async def test_a_database_that_cannot_be_reached_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira.client.PATIENCE_SECONDS", 0)
    async with Client("postgresql://127.0.0.1:1/nobody") as nowhere:
        with pytest.raises(DatabaseUnavailable):
            await nowhere.enqueue("t")
        with pytest.raises(DatabaseUnavailable):
            await nowhere.get(uuid4())


async def test_a_restart_of_the_database_is_waited_out(client: Client, belt: Belt) -> None:
    handle = await client.enqueue("t")
    assert belt.end_sessions() > 0
    assert (await client.get(handle.id)).status == "queued"
