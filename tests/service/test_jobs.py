from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from uuid import UUID

    import httpx

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker


@pytest_asyncio.fixture
async def job(state: State, worker: FakeWorker) -> UUID:
    return (await state.client.enqueue("a.b", {"x": 1})).id


async def test_a_running_job_shows_how_far_it_is(http: httpx.AsyncClient, worker: FakeWorker, job: UUID) -> None:
    await worker.claim()
    await worker.connection.execute("select esteira.progress($1, 1, 0.5, 'half', 'render')", job)
    shown = (await http.get(f"/v1/jobs/{job}")).json()
    assert (shown["status"], shown["done"], shown["attempt"]) == ("running", False, 1)
    assert (shown["progress"], shown["progress_message"], shown["current_step"]) == (0.5, "half", "render")
    assert shown["worker_id"] == str(worker.id)
    assert shown["poll_after_seconds"] == 1
    assert shown["execution_time_seconds"] >= 0
    assert shown["links"] == {
        "self": f"/v1/jobs/{job}",
        "result": f"/v1/jobs/{job}/result",
        "steps": f"/v1/jobs/{job}/steps",
        "attempts": f"/v1/jobs/{job}/attempts",
        "explain": f"/v1/jobs/{job}/explain",
        "cancel": f"/v1/jobs/{job}/cancel",
        "retry": None,
        "discard": None,
    }


async def test_a_dead_job_shows_its_error(http: httpx.AsyncClient, worker: FakeWorker, job: UUID) -> None:
    assert await worker.fail((await worker.claim())[0], retryable=False) == "dead"
    shown = (await http.get(f"/v1/jobs/{job}")).json()
    assert (shown["status"], shown["reason"], shown["done"]) == ("dead", "not_retryable", True)
    assert (shown["links"]["cancel"], shown["links"]["retry"]) == (None, f"/v1/jobs/{job}/retry")
    assert shown["error"].items() >= {"type": "ValueError", "message": "no such video", "attempt": 1}.items()
    assert shown["poll_after_seconds"] is None


async def test_a_result_that_could_not_be_stored_is_a_warning(
    http: httpx.AsyncClient, worker: FakeWorker, job: UUID
) -> None:
    await worker.claim()
    await worker.connection.execute(
        "select esteira.complete(array[$1::uuid], array[1], array[null::jsonb], array['too deep'])", job
    )
    shown = (await http.get(f"/v1/jobs/{job}")).json()
    assert shown["warnings"] == [{"code": "RESULT_NOT_STORED", "detail": "too deep"}]


async def test_steps_are_shown_with_their_results(http: httpx.AsyncClient, worker: FakeWorker, job: UUID) -> None:
    assert (await http.get(f"/v1/jobs/{job}/steps")).json() == {"items": []}
    await worker.claim()
    await worker.connection.execute("select esteira.save_step($1, 1, 'fft', '{\"hz\": 50}', esteira.now())", job)
    [step] = (await http.get(f"/v1/jobs/{job}/steps")).json()["items"]
    assert (step["name"], step["attempt"], step["result"]) == ("fft", 1, {"hz": 50})
    assert step["duration_seconds"] >= 0


async def test_attempts_that_did_not_complete_are_shown(http: httpx.AsyncClient, worker: FakeWorker, job: UUID) -> None:
    await worker.fail((await worker.claim())[0])
    [attempt] = (await http.get(f"/v1/jobs/{job}/attempts")).json()["items"]
    assert (attempt["attempt"], attempt["outcome"], attempt["traceback"]) == (1, "failed", "Traceback: …")
    assert attempt["error"]["message"] == "no such video"


async def test_explain_says_why_a_job_waits(http: httpx.AsyncClient, state: State) -> None:
    job = (await state.client.enqueue("a.b", queue="lonely")).id
    answer = (await http.get(f"/v1/jobs/{job}/explain")).json()
    assert answer["code"] == "no_worker"
    assert "lonely" in answer["detail"]


async def test_a_job_that_has_not_started_is_cancelled_at_once(http: httpx.AsyncClient, job: UUID) -> None:
    answer = await http.post(f"/v1/jobs/{job}/cancel")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["reason"]) == ("cancelled", "cancelled")


async def test_a_running_job_is_asked_to_stop(http: httpx.AsyncClient, worker: FakeWorker, job: UUID) -> None:
    await worker.claim()
    answer = await http.post(f"/v1/jobs/{job}/cancel")
    assert answer.status_code == 202
    assert answer.json()["status"] == "running"
    assert answer.json()["cancel_requested_at"] is not None


async def test_a_job_that_has_ended_cannot_be_cancelled(http: httpx.AsyncClient, worker: FakeWorker, job: UUID) -> None:
    await worker.run()
    answer = await http.post(f"/v1/jobs/{job}/cancel")
    assert answer.status_code == 409
    assert answer.json()["code"] == "ILLEGAL_TRANSITION"
    assert "completed" in answer.json()["detail"]


async def test_a_dead_job_gets_another_life(http: httpx.AsyncClient, worker: FakeWorker, job: UUID) -> None:
    await worker.fail((await worker.claim())[0], retryable=False)
    answer = await http.post(f"/v1/jobs/{job}/retry")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["generation"], answer.json()["failures"]) == ("queued", 2, 0)


async def test_a_queued_job_cannot_be_retried(http: httpx.AsyncClient, job: UUID) -> None:
    answer = await http.post(f"/v1/jobs/{job}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "ILLEGAL_TRANSITION")


@pytest.mark.parametrize("route", ["", "/steps", "/attempts", "/explain", "/cancel", "/retry"])
async def test_an_id_that_no_job_has_is_a_404_and_no_uuid_a_422(http: httpx.AsyncClient, route: str) -> None:
    method = "POST" if route in ("/cancel", "/retry") else "GET"
    unknown = uuid4()
    answer = await http.request(method, f"/v1/jobs/{unknown}{route}")
    assert (answer.status_code, answer.json()["code"]) == (404, "JOB_NOT_FOUND")
    assert str(unknown) in answer.json()["detail"]
    answer = await http.request(method, f"/v1/jobs/nonsense{route}")
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")
    assert [error["parameter"] for error in answer.json()["errors"]] == ["job_id"]
