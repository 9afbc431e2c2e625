from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg
    import httpx

    from tests.service.conftest import FakeWorker

THOUSAND_DIGITS = "9" * 1000


async def test_a_job_is_stored_and_shown_with_its_place(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    answer = await http.post("/v1/jobs", json={"task": "a.b", "payload": {"x": 1}, "tags": ["t"], "metadata": {"m": 2}})
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["retry-after"] == "1"
    assert (job["status"], job["payload"], job["tags"], job["metadata"]) == ("queued", {"x": 1}, ["t"], {"m": 2})
    assert job["warnings"] == []
    read = (await http.get(answer.headers["location"])).json()
    assert {**read, "poll_after_seconds": 1} == job


async def test_what_is_left_out_is_as_the_task_declares_it(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    await register("a.b", queue="slow", priority="high", max_attempts=7, retry_max_seconds=70, timeout_seconds=30)
    job = (await http.post("/v1/jobs", json={"task": "a.b"})).json()
    assert (job["queue"], job["priority"], job["max_attempts"], job["timeout_seconds"]) == ("slow", "high", 7, 30)
    assert (job["retry_first_seconds"], job["retry_max_seconds"]) == (5, 70)
    assert job["payload"] == {}


async def test_every_field_reaches_the_job(
    http: httpx.AsyncClient, worker: FakeWorker, db: asyncpg.Connection[Any]
) -> None:
    body = {
        "task": "a.b", "payload": [1, "two", None], "queue": "q", "priority": "critical", "delay_seconds": 90,
        "retry": {"attempts": 9, "first_seconds": 1.5, "max_seconds": 7}, "timeout_seconds": 12.5,
        "metadata": {"k": [1]}, "tags": ["one", "two"],
    }  # fmt: skip
    job = (await http.post("/v1/jobs", json=body)).json()
    assert job["payload"] == [1, "two", None]
    assert (job["queue"], job["priority"], job["max_attempts"], job["timeout_seconds"]) == ("q", "critical", 9, 12.5)
    assert (job["retry_first_seconds"], job["retry_max_seconds"]) == (1.5, 7)
    assert datetime.fromisoformat(job["run_at"]) - datetime.fromisoformat(job["created_at"]) == timedelta(seconds=90)
    assert job["poll_after_seconds"] == 60
    row = await db.fetchrow("select retry_first_seconds, retry_max_seconds, metadata, tags from esteira.job")
    assert row is not None
    assert tuple(row) == (1.5, 7, '{"k": [1]}', ["one", "two"])


async def test_a_retry_that_names_one_field_leaves_the_others_to_the_task(
    http: httpx.AsyncClient, worker: FakeWorker, db: asyncpg.Connection[Any]
) -> None:
    await http.post("/v1/jobs", json={"task": "a.b", "retry": {"max_seconds": 7}})
    row = await db.fetchrow("select max_attempts, retry_first_seconds, retry_max_seconds from esteira.job")
    assert row is not None
    assert tuple(row) == (None, None, 7)


async def test_run_at_in_the_future_is_kept_and_in_the_past_means_now(
    http: httpx.AsyncClient, worker: FakeWorker
) -> None:
    later = await http.post("/v1/jobs", json={"task": "a.b", "run_at": "2199-12-31T23:00:00-01:00"})
    assert later.json()["run_at"] == "2200-01-01T00:00:00Z"
    before = datetime.now(UTC) - timedelta(minutes=1)
    past = await http.post("/v1/jobs", json={"task": "a.b", "run_at": "2001-01-01T00:00:00Z"})
    assert datetime.fromisoformat(past.json()["run_at"]) > before


async def test_a_task_that_no_worker_has_declared_is_accepted_with_a_warning(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", json={"task": "nobody.knows"})
    assert answer.status_code == 202
    [warning] = answer.json()["warnings"]
    assert warning["code"] == "TASK_UNKNOWN"
    assert "nobody.knows" in warning["detail"]


async def test_the_warning_ends_once_a_worker_declares_the_task(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    assert (await http.post("/v1/jobs", json={"task": "late"})).json()["warnings"]
    await register("late")
    assert (await http.post("/v1/jobs", json={"task": "late"})).json()["warnings"] == []


async def test_integers_of_a_thousand_digits_survive_the_whole_way(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    body = f'{{"task": "a.b", "payload": {{"n": {THOUSAND_DIGITS}, "minus": -{THOUSAND_DIGITS}}}}}'
    answer = await http.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
    numbers = {"n": int(THOUSAND_DIGITS), "minus": -int(THOUSAND_DIGITS)}
    assert json.loads(answer.text)["payload"] == numbers
    [job] = await worker.claim()
    assert json.loads(job["payload"]) == numbers
    await worker.connection.execute(
        "select esteira.complete(array[$1::uuid], array[$2::int], array[$3::jsonb])",
        job["id"],
        job["attempt"],
        job["payload"],
    )
    read = await http.get(answer.headers["location"])
    assert json.loads(read.text)["result"] == json.loads(read.text)["payload"] == numbers


async def test_wait_answers_200_with_the_result_when_the_job_ends_in_time(
    http: httpx.AsyncClient, worker: FakeWorker
) -> None:
    posting = asyncio.create_task(http.post("/v1/jobs?wait=20", json={"task": "a.b", "payload": {"x": 1}}))
    async with asyncio.timeout(20):
        while not (jobs := await worker.claim()):  # noqa: ASYNC110 - it comes into being in the database
            await asyncio.sleep(0)
    await worker.complete(jobs[0], {"y": 2})
    answer = await posting
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["result"], answer.json()["payload"]) == (
        "completed",
        {"y": 2},
        {"x": 1},
    )
    assert answer.json()["poll_after_seconds"] is None


async def test_wait_answers_202_when_the_time_is_over(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    answer = await http.post("/v1/jobs?wait=0.1", json={"task": "a.b"})
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    assert answer.headers["location"] == answer.json()["links"]["self"]


@pytest.mark.parametrize("wait", ["51", "-1", "nan", "soon"])
async def test_a_wait_that_makes_no_sense_is_refused_before_anything_is_stored(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], wait: str
) -> None:
    answer = await http.post(f"/v1/jobs?wait={wait}", json={"task": "a.b"})
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == ["wait"]
    assert await db.fetchval("select count(*) from esteira.job") == 0


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"callback_url": "http://example.org"}, "/callback_url"),
        ({"unique_key": ""}, "/unique_key"),
        ({"unique_key": "k" * 201}, "/unique_key"),
        ({"unique_key": 1}, "/unique_key"),
        ({"idempotency_key": ""}, "/idempotency_key"),
        ({"idempotency_key": "k" * 256}, "/idempotency_key"),
        ({"on_conflict": "return"}, "/on_conflict"),
        ({"on_conflict": "ignore", "unique_key": "k"}, "/on_conflict"),
        ({"expires_at": "2100-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": "2201-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2100-01-01T00:00:00Z", "run_at": "2100-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2100-01-01T00:00:00Z", "delay_seconds": 3155760000}, "/expires_at"),
        ({"run_at": "0001-01-01T00:00:00+05:00"}, "/run_at"),
        ({"task": ""}, "/task"),
        ({"task": None}, "/task"),
        ({"task": "a b"}, "/task"),
        ({"task": "a" * 101}, "/task"),
        ({"task": "é"}, "/task"),
        ({"queue": "-q"}, "/queue"),
        ({"queue": "q" * 101}, "/queue"),
        ({"queue": "é"}, "/queue"),
        ({"priority": "urgent"}, "/priority"),
        ({"priority": 3}, "/priority"),
        ({"delay_seconds": -1}, "/delay_seconds"),
        ({"delay_seconds": "10"}, "/delay_seconds"),
        ({"delay_seconds": 1e12}, "/delay_seconds"),
        ({"run_at": "2026-01-01T00:00:00"}, "/run_at"),
        ({"run_at": "2201-01-01T00:00:00Z"}, "/run_at"),
        ({"run_at": "tomorrow"}, "/run_at"),
        ({"run_at": "20300131"}, "/run_at"),
        ({"run_at": 1900000000}, "/run_at"),
        ({"run_at": "2026-01-01T00:00:00Z", "delay_seconds": 1}, "/run_at"),
        ({"retry": {"attempts": 0}}, "/retry/attempts"),
        ({"retry": {"attempts": 2**31}}, "/retry/attempts"),
        ({"retry": {"first_seconds": -1}}, "/retry/first_seconds"),
        ({"retry": {"tries": 3}}, "/retry/tries"),
        ({"retry": 3}, "/retry"),
        ({"timeout_seconds": 0}, "/timeout_seconds"),
        ({"timeout_seconds": True}, "/timeout_seconds"),
        ({"metadata": []}, "/metadata"),
        ({"tags": "t"}, "/tags"),
        ({"tags": ["t", 1]}, "/tags/1"),
        ({"a/b~c": 1}, "/a~1b~0c"),
    ],
)
async def test_input_that_is_not_valid_is_refused_with_its_place(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], fields: dict[str, Any], pointer: str
) -> None:
    answer = await http.post("/v1/jobs", json={"task": "a.b", **fields})
    assert answer.status_code == 422
    assert answer.json()["code"] == "INVALID_INPUT"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await db.fetchval("select count(*) from esteira.job") == 0


async def test_everything_that_is_wrong_is_said_at_once(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", json={"queue": "", "tags": [1]})
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == ["/queue", "/tags/0", "/task"]
