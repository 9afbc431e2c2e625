from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    import httpx

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker


@pytest_asyncio.fixture
async def job(state: State, worker: FakeWorker) -> UUID:
    return (await state.client.enqueue("a.b")).id


@pytest.mark.parametrize(
    ("result", "body"), [({"a": [1]}, '{"a":[1]}'), (None, "null"), ("text", '"text"'), (10**30, "1" + "0" * 30)]
)
async def test_a_completed_job_gives_its_bare_result(
    http: httpx.AsyncClient, worker: FakeWorker, job: UUID, result: object, body: str
) -> None:
    await worker.run(result)
    answer = await http.get(f"/v1/jobs/{job}/result")
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (200, "application/json", body)


async def test_a_live_job_is_a_202_that_says_when_to_ask_again(http: httpx.AsyncClient, job: UUID) -> None:
    for query in ("", "?wait=0.1"):
        answer = await http.get(f"/v1/jobs/{job}/result{query}")
        assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
        assert (answer.json()["id"], answer.json()["status"]) == (str(job), "queued")


async def test_a_dead_job_is_a_409_with_its_error(http: httpx.AsyncClient, worker: FakeWorker, job: UUID) -> None:
    await worker.fail((await worker.claim())[0], retryable=False)
    answer = await http.get(f"/v1/jobs/{job}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "JOB_DEAD")
    assert "ValueError: no such video" in answer.json()["detail"]


async def test_a_cancelled_job_is_a_409_with_its_reason(http: httpx.AsyncClient, state: State, job: UUID) -> None:
    await state.client.purge("default")
    answer = await http.get(f"/v1/jobs/{job}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "JOB_CANCELLED")
    assert "purged" in answer.json()["detail"]


async def test_a_result_that_was_not_stored_is_a_409_that_says_why(
    http: httpx.AsyncClient, worker: FakeWorker, job: UUID
) -> None:
    await worker.claim()
    await worker.connection.execute(
        "select esteira.complete(array[$1::uuid], array[1], array[null::jsonb], array['too deep'])", job
    )
    answer = await http.get(f"/v1/jobs/{job}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "RESULT_NOT_STORED")
    assert "too deep" in answer.json()["detail"]
