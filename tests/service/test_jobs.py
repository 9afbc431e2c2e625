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
    assert shown["warnings"] == [{"code": "RESULT_NOT_STORED", "detail": "the result could not be stored: too deep"}]


async def test_a_job_that_has_not_changed_is_a_304(http: httpx.AsyncClient, state: State, job: UUID) -> None:
    tag = (await http.get(f"/v1/jobs/{job}")).headers["etag"]
    for query in ("", "?wait=0.1"):
        answer = await http.get(f"/v1/jobs/{job}{query}", headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    await state.client.edit(job, tags=["new"])
    answer = await http.get(f"/v1/jobs/{job}", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()["tags"]) == (200, ["new"])


async def test_no_two_answers_to_who_polls_are_the_same(http: httpx.AsyncClient, job: UUID) -> None:
    first, second = [await http.get(f"/v1/jobs/{job}?poll=1", headers={"If-None-Match": "*"}) for _ in range(2)]
    assert first.status_code == 200
    assert "etag" not in first.headers
    assert first.json()["observed_at"] < second.json()["observed_at"]
    assert first.json().keys() - (await http.get(f"/v1/jobs/{job}")).json().keys() == {"observed_at"}


async def test_a_job_that_retention_removed_is_gone(http: httpx.AsyncClient) -> None:
    # Its id says that it was made in the year 2020.
    for path in ("", "?wait=0.1", "/result", "/steps"):
        answer = await http.get(f"/v1/jobs/016f5e66-e800-7000-8000-000000000000{path}")
        assert (answer.status_code, answer.json()["code"]) == (410, "JOB_GONE")


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


@pytest.mark.parametrize("route", ["", "/result", "/steps", "/attempts", "/explain", "/cancel", "/retry", "/discard"])
async def test_an_id_that_no_job_has_is_a_404_and_no_uuid_a_422(http: httpx.AsyncClient, route: str) -> None:
    method = "POST" if route in ("/cancel", "/retry", "/discard") else "GET"
    unknown = uuid4()
    answer = await http.request(method, f"/v1/jobs/{unknown}{route}")
    assert (answer.status_code, answer.json()["code"]) == (404, "JOB_NOT_FOUND")
    assert str(unknown) in answer.json()["detail"]
    answer = await http.request(method, f"/v1/jobs/nonsense{route}")
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")
    assert [error["parameter"] for error in answer.json()["errors"]] == ["job_id"]
