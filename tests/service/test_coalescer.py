from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from esteira.client import Client
from esteira.errors import DatabaseUnavailable, InvalidInput, JobNotFound
from esteira.new_job import NewJob
from esteira.retry import RetryChange
from esteira_service.coalescer import Coalescer, Stored
from esteira_service.models import JobView
from esteira_service.storing import MAX_JOBS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg
    import httpx

    from esteira.new_job import Enqueued
    from esteira_service.state import State


class Spy:
    """Note how many jobs each insert had."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        enqueue_each = client.enqueue_each

        async def noted(jobs: Sequence[NewJob]) -> list[Enqueued]:
            self.sizes.append(len(jobs))
            return await enqueue_each(jobs)

        monkeypatch.setattr(client, "enqueue_each", noted)


@pytest.fixture
def coalescer(state: State) -> Coalescer:
    return Coalescer(state.client)


@pytest.fixture
def spy(state: State, monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(state.client, monkeypatch)


async def commits(db: asyncpg.Connection[Any]) -> int:
    # A row carries the transaction that made it.
    found: int = await db.fetchval("select count(distinct xmin::text) from esteira.job_live")
    return found


EVERYTHING: dict[str, Any] = {
    "queue": "q", "priority": "high", "delay": 60, "retry": RetryChange(attempts=7, first=1, max=9), "timeout": 5,
    "metadata": {"b": 1, "a": None}, "tags": ["x", "y"],
    "expires_at": datetime(2100, 1, 1, tzinfo=timezone(timedelta(hours=2))),
}  # fmt: skip


@pytest.mark.parametrize("options", [{}, EVERYTHING])
async def test_a_new_job_is_shown_as_it_is_read(coalescer: Coalescer, state: State, options: dict[str, Any]) -> None:
    stored = await coalescer.enqueue(NewJob("t", {"a": 1}, **options))
    read = await state.client.get(stored.enqueued.id)
    assert stored.view == JobView.of(read, payload=None)


async def test_a_job_that_has_begun_or_was_removed_meanwhile_is_shown_as_such(
    coalescer: Coalescer, state: State, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue_each = state.client.enqueue_each

    async def slowly(jobs: Sequence[NewJob]) -> list[Enqueued]:
        enqueued = await enqueue_each(jobs)
        await db.execute(
            "update esteira.job set status = 'running', attempt = 1, worker_id = id, engine = 0 where task = 'begun'"
        )
        await db.execute("delete from esteira.job where task = 'removed'")
        await db.execute("update esteira.job set tags = array[null, 'by hand'] where task = 'new'")
        return enqueued

    monkeypatch.setattr(state.client, "enqueue_each", slowly)
    new, begun, removed = await asyncio.gather(
        *(coalescer.enqueue(NewJob(task)) for task in ("new", "begun", "removed")), return_exceptions=True
    )
    assert isinstance(new, Stored)
    assert isinstance(begun, Stored)
    assert new.view.tags == ["by hand"]
    assert (new.view.status, begun.view.status, begun.view.attempt) == ("queued", "running", 1)
    assert isinstance(removed, JobNotFound)


async def test_posts_that_arrive_during_an_insert_share_the_next_one(
    http: httpx.AsyncClient, spy: Spy, db: asyncpg.Connection[Any]
) -> None:
    answers = await asyncio.gather(*(http.post("/v1/jobs", json={"task": "a.b", "payload": n}) for n in range(200)))
    assert {answer.status_code for answer in answers} == {202}
    assert [answer.json()["payload"] for answer in answers] == list(range(200))
    assert len({answer.json()["id"] for answer in answers}) == 200
    assert sum(spy.sizes) == 200
    assert len(spy.sizes) < 50
    assert await commits(db) == len(spy.sizes)


async def test_a_lone_job_waits_for_no_others(coalescer: Coalescer, spy: Spy) -> None:
    await coalescer.enqueue(NewJob("a.b"))
    assert spy.sizes == [1]


async def test_a_job_has_its_own_answer_whatever_the_order_of_the_batch(coalescer: Coalescer) -> None:
    stored = await asyncio.gather(*(coalescer.enqueue(NewJob(f"task.{n}", queue=f"q{n}")) for n in range(50)))
    assert [found.view.task for found in stored] == [f"task.{n}" for n in range(50)]
    assert [found.view.queue for found in stored] == [f"q{n}" for n in range(50)]


async def test_only_the_guilty_jobs_of_a_batch_are_refused(
    coalescer: Coalescer, spy: Spy, db: asyncpg.Connection[Any]
) -> None:
    queues = [*(f"q{n}" for n in range(30)), "no name", *(f"q{n}" for n in range(30)), "nor this"]
    results = await asyncio.gather(
        *(coalescer.enqueue(NewJob("a.b", queue=queue)) for queue in queues), return_exceptions=True
    )
    # All at once, then in halves until the two stand alone.
    assert spy.sizes[0] == 62
    assert len(spy.sizes) < 25
    for queue, result in zip(queues, results, strict=True):
        if " " in queue:
            assert isinstance(result, InvalidInput)
        else:
            assert isinstance(result, Stored)
            assert result.view.queue == queue
    assert await db.fetchval("select count(*) from esteira.job") == 60


async def test_a_bad_row_over_http_is_a_422_and_its_neighbours_are_stored(http: httpx.AsyncClient, spy: Spy) -> None:
    # Letters that this database's locale does not take for letters get past the model, and only there.
    queues = ["one", "two", "três", "four"]
    answers = await asyncio.gather(*(http.post("/v1/jobs", json={"task": "a.b", "queue": queue}) for queue in queues))
    assert [answer.status_code for answer in answers] == [202, 202, 422, 202]
    assert answers[2].json()["errors"][0]["pointer"] == "/queue"
    assert max(spy.sizes) > 1


async def test_a_batch_is_bounded(coalescer: Coalescer, spy: Spy) -> None:
    await asyncio.gather(*(coalescer.enqueue(NewJob("a.b")) for _ in range(MAX_JOBS + 10)))
    assert spy.sizes == [MAX_JOBS, 10]


async def test_all_learn_of_a_database_that_is_away_and_the_next_one_is_stored(
    state: State, coalescer: Coalescer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_jobs: Sequence[NewJob]) -> list[Enqueued]:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(state.client, "enqueue_each", away)
        jobs = [coalescer.enqueue(NewJob("a.b")) for _ in range(3)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailable] * 3
    assert (await coalescer.enqueue(NewJob("a.b"))).view.status == "queued"


async def test_closing_waits_for_what_has_arrived(coalescer: Coalescer, db: asyncpg.Connection[Any]) -> None:
    arriving = asyncio.gather(*(coalescer.enqueue(NewJob("a.b")) for _ in range(5)))
    await asyncio.sleep(0)
    await coalescer.close()
    assert await db.fetchval("select count(*) from esteira.job") == 5
    assert len(await arriving) == 5


async def test_a_caller_who_leaves_does_not_disturb_the_others(coalescer: Coalescer) -> None:
    leaving = asyncio.create_task(coalescer.enqueue(NewJob("a.b")))
    staying = asyncio.create_task(coalescer.enqueue(NewJob("a.b")))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).view.task == "a.b"
