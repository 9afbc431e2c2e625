from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    import httpx

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker


async def act(http: httpx.AsyncClient, verb: str, body: Any, status: int = 200) -> dict[str, Any]:
    answer = await http.post(f"/v1/jobs/{verb}", json=body)
    assert answer.status_code == status, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def dead(state: State, worker: FakeWorker, **fields: Any) -> UUID:
    job = (await state.client.enqueue("a.b", queue="graves", **fields)).id
    assert await worker.fail((await worker.claim(queue="graves"))[0], retryable=False) == "dead"
    return job


async def test_delete_cancels(http: httpx.AsyncClient, state: State, worker: FakeWorker) -> None:
    job = (await state.client.enqueue("a.b")).id
    answer = await http.delete(f"/v1/jobs/{job}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (await http.delete(f"/v1/jobs/{job}")).status_code == 409
    running = (await state.client.enqueue("a.b")).id
    await worker.claim()
    assert (await http.delete(f"/v1/jobs/{running}")).status_code == 202


async def test_a_dead_job_can_be_discarded_and_no_other(
    http: httpx.AsyncClient, state: State, worker: FakeWorker
) -> None:
    job = await dead(state, worker)
    live = (await state.client.enqueue("a.b")).id
    assert (await http.get(f"/v1/jobs/{job}")).json()["links"]["discard"] == f"/v1/jobs/{job}/discard"
    answer = await http.post(f"/v1/jobs/{job}/discard")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await http.get(f"/v1/jobs/{job}")).status_code == 404
    assert (await http.post(f"/v1/jobs/{live}/discard")).json()["code"] == "ILLEGAL_TRANSITION"


async def test_a_retry_that_a_live_job_stands_in_the_way_of_is_a_conflict(
    http: httpx.AsyncClient, state: State, worker: FakeWorker
) -> None:
    job = await dead(state, worker, unique_key="k")
    await state.client.enqueue("a.b", unique_key="k")
    answer = await http.post(f"/v1/jobs/{job}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "UNIQUE_CONFLICT")


async def test_many_are_cancelled_by_a_filter(http: httpx.AsyncClient, state: State, worker: FakeWorker) -> None:
    for number in range(3):
        await state.client.enqueue("a.b", tags=["old"], metadata={"n": number})
    other = (await state.client.enqueue("a.b", tags=["new"])).id
    await worker.claim()
    wanted = {"filter": {"tag": "old", "status": ["queued", "running"]}}
    told = await act(http, "cancel", {**wanted, "dry_run": True})
    assert told == {"matched": 3, "changed": 0, "asked_to_stop": 0, "more": False, "dry_run": True}
    told = await act(http, "cancel", wanted)
    assert told == {"matched": 3, "changed": 2, "asked_to_stop": 1, "more": False, "dry_run": False}
    assert (await state.client.get(other)).status == "queued"


async def test_many_are_retried_up_to_the_limit(http: httpx.AsyncClient, state: State, worker: FakeWorker) -> None:
    jobs = [await dead(state, worker) for _ in range(3)]
    told = await act(http, "retry", {"filter": {"status": "dead"}, "limit": 2})
    assert told == {"matched": 2, "changed": 2, "more": True, "dry_run": False}
    assert [(await state.client.get(job)).status for job in jobs] == ["queued", "queued", "dead"]


async def test_all_of_a_status_are_discarded_when_it_is_named(
    http: httpx.AsyncClient, state: State, worker: FakeWorker
) -> None:
    for _ in range(2):
        await dead(state, worker)
    live = (await state.client.enqueue("a.b")).id
    assert (await act(http, "discard", {"filter": {"status": "dead"}}))["changed"] == 2
    assert [job.id for job in await state.client.jobs()] == [live]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/filter"),
        ({"filter": None}, "/filter"),
        ({"filter": {}}, "/filter"),
        ({"filter": {}, "dry_run": True}, "/filter"),
        ({"filter": {"tag": [], "metadata": {}, "queue": None, "stuck": False}}, "/filter"),
        ({"filter": {"status": "done"}}, "/filter/status"),
        ({"filter": {"tags": ["t"]}}, "/filter/tags"),
        ({"filter": {"worker": "me"}}, "/filter/worker"),
        ({"filter": {"created_after": "yesterday"}}, "/filter/created_after"),
        ({"filter": {"stuck": 1}}, "/filter/stuck"),
        ({"filter": {"queue": "\0"}}, "/filter/queue"),
        ({"filter": {"queue": "q"}, "limit": 0}, "/limit"),
        ({"filter": {"queue": "q"}, "limit": 10_001}, "/limit"),
        ({"filter": {"queue": "q"}, "dry_run": "yes"}, "/dry_run"),
        ({"filter": {"queue": "q"}, "queue": "q"}, "/queue"),
    ],
)
@pytest.mark.parametrize("verb", ["cancel", "retry", "discard"])
async def test_a_filter_that_makes_no_sense_is_refused_and_changes_nothing(
    http: httpx.AsyncClient, state: State, verb: str, body: Any, pointer: str
) -> None:
    job = (await state.client.enqueue("a.b")).id
    problem = await act(http, verb, body, 422)
    assert {error["pointer"].removesuffix("/0") for error in problem["errors"]} == {pointer}
    assert (await state.client.get(job)).status == "queued"
