from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from esteira.errors import DatabaseUnavailable, JobNotFound
from esteira_service.waiting import Hub

if TYPE_CHECKING:
    from collections.abc import Collection

    import httpx

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker


async def enqueue(state: State, count: int = 1) -> list[UUID]:
    return [(await state.client.enqueue("a.b")).id for _ in range(count)]


async def test_a_waiting_request_ends_with_the_job(http: httpx.AsyncClient, state: State, worker: FakeWorker) -> None:
    [job_id] = await enqueue(state)
    waiting = asyncio.create_task(http.get(f"/v1/jobs/{job_id}?wait=30"))
    await asyncio.sleep(0)
    await worker.run({"x": 1})
    answer = await waiting
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["result"]) == ("completed", {"x": 1})


async def test_a_waiting_request_ends_when_its_time_is_over(http: httpx.AsyncClient, state: State) -> None:
    [job_id] = await enqueue(state)
    began = time.monotonic()
    answer = await http.get(f"/v1/jobs/{job_id}?wait=0.2")
    assert answer.json()["status"] == "queued"
    assert 0.2 <= time.monotonic() - began < 5


async def test_a_job_that_has_ended_is_answered_at_once(
    http: httpx.AsyncClient, state: State, worker: FakeWorker
) -> None:
    [job_id] = await enqueue(state)
    await worker.run()
    began = time.monotonic()
    assert (await http.get(f"/v1/jobs/{job_id}?wait=30")).json()["status"] == "completed"
    assert time.monotonic() - began < 5


async def test_waiting_for_no_job_is_a_404_at_once(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/v1/jobs/{uuid4()}?wait=30")
    assert (answer.status_code, answer.json()["code"]) == (404, "JOB_NOT_FOUND")


async def test_all_who_wait_share_one_query_a_tick(
    state: State, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = await enqueue(state, 20)
    asked: list[int] = []
    live = state.client.live

    async def noted(ids: Collection[UUID]) -> set[UUID]:
        asked.append(len(ids))
        return await live(ids)

    monkeypatch.setattr(state.client, "live", noted)
    waiting = [asyncio.create_task(state.hub.wait(job_id, 30)) for job_id in jobs for _ in range(10)]
    await asyncio.sleep(0)
    for job in await worker.claim(20):
        await worker.complete(job)
    ended = await asyncio.gather(*waiting)
    assert {job.status for job in ended} == {"completed"}
    assert [job.id for job in ended] == [job_id for job_id in jobs for _ in range(10)]
    # Two hundred waiters, twenty jobs: a tick asks for each job once, and there were far fewer ticks than waiters.
    assert asked[0] == 20
    assert len(asked) < 50


async def test_nothing_is_asked_while_nobody_waits(state: State, worker: FakeWorker) -> None:
    await enqueue(state)
    waiting = asyncio.create_task(state.hub.wait((await enqueue(state))[0], 0.01))
    await waiting
    looking = state.hub._looking
    assert looking is not None
    async with asyncio.timeout(5):
        await looking


async def test_a_caller_who_leaves_is_forgotten(state: State) -> None:
    waiting = asyncio.create_task(state.hub.wait((await enqueue(state))[0], 30))
    await asyncio.sleep(0)
    waiting.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([waiting])
        assert state.hub._looking is not None
        await state.hub._looking
    assert not state.hub._waiters


async def test_a_service_that_stops_answers_all_who_wait(state: State) -> None:
    hub = Hub(state.client)
    waiting = [asyncio.create_task(hub.wait(job_id, 50)) for job_id in await enqueue(state, 3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await hub.close()
        assert [job.status for job in await asyncio.gather(*waiting)] == ["queued"] * 3
        late = await hub.wait((await enqueue(state))[0], 50)
    assert late.status == "queued"


async def test_those_who_wait_learn_of_a_database_that_is_away_and_the_next_one_is_answered(
    state: State, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    [job_id] = await enqueue(state)

    async def away(_ids: Any) -> set[UUID]:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(state.client, "live", away)
        with pytest.raises(DatabaseUnavailable):
            await state.hub.wait(job_id, 30)
    await worker.run()
    assert (await state.hub.wait(job_id, 30)).status == "completed"


async def test_one_waiter_for_no_job_does_not_end_the_others(state: State, worker: FakeWorker) -> None:
    [job_id] = await enqueue(state)
    waiting = asyncio.create_task(state.hub.wait(job_id, 30))
    with pytest.raises(JobNotFound):
        await state.hub.wait(uuid4(), 30)
    await worker.run()
    assert (await waiting).status == "completed"
