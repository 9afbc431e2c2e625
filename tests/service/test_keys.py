from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from esteira_service import turns
from esteira_service.intake import Intake
from esteira_service.waiting import Hub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg
    import httpx

    from esteira.job import Job
    from tests.service.conftest import FakeWorker

PAYLOAD = {"n": 1}


async def post(
    http: httpx.AsyncClient, key: str | None = None, query: str = "", payload: object = PAYLOAD, **fields: Any
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await http.post(f"/v1/jobs{query}", json={"task": "a.b", "payload": payload, **fields}, headers=headers)


def codes(answer: httpx.Response) -> list[str]:
    return [warning["code"] for warning in answer.json()["warnings"]]


async def stored(db: asyncpg.Connection[Any]) -> int:
    found: int = await db.fetchval("select count(*) from esteira.job")
    return found


async def test_the_same_request_again_is_answered_with_its_job_as_it_is_now(
    http: httpx.AsyncClient, worker: FakeWorker, db: asyncpg.Connection[Any]
) -> None:
    first = await post(http, "k")
    assert (first.status_code, codes(first)) == (202, [])
    assert "idempotency-replayed" not in first.headers
    await worker.run({"done": True})
    again = await post(http, "k")
    assert (again.status_code, codes(again)) == (202, ["IDEMPOTENCY_REPLAYED"])
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "completed")
    assert (again.json()["payload"], again.json()["result"]) == (PAYLOAD, {"done": True})
    assert "retry-after" not in again.headers
    assert (await post(http, "k", "?wait=5")).status_code == 200
    assert await stored(db) == 1


async def test_a_replay_that_waits_shows_the_job_as_it_was_at_its_end(
    http: httpx.AsyncClient, worker: FakeWorker, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(http, "k")
    wait = Hub.wait

    async def meanwhile(hub: Hub, job_id: UUID, seconds: float) -> Job:
        await db.execute("""update esteira.job set payload = '{"n": 2}'""")
        await worker.run()
        return await wait(hub, job_id, seconds)

    monkeypatch.setattr(Hub, "wait", meanwhile)
    again = (await post(http, "k", "?wait=30")).json()
    assert (again["status"], again["payload"]) == ("completed", {"n": 2})


async def test_requests_about_one_job_have_each_their_own_answer(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with a task that has become unique since the service looked.
    monkeypatch.setattr(Intake, "_has_key", lambda _intake, _wanted: False)
    requests = [post(http, payload=n, unique_key="u", on_conflict="replace") for n in range(3)]
    _, first, second = sorted(await asyncio.gather(*requests), key=lambda answer: len(codes(answer)))
    assert codes(first) == codes(second) == ["UNIQUE_KEY_REPLACED", "TASK_UNKNOWN"]
    assert first.json()["payload"] != second.json()["payload"]


@pytest.mark.parametrize("header", ["k", '"k"'])
async def test_header_and_body_are_twins(http: httpx.AsyncClient, header: str) -> None:
    first = await post(http, header)
    for again in (await post(http, idempotency_key="k"), await post(http, "k", idempotency_key="k")):
        assert again.json()["id"] == first.json()["id"]
        assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("header", "fields"),
    [("k", {"idempotency_key": "other"}), ("", {}), ('""', {}), ("k" * 256, {}), ("é".encode(), {})],
)
async def test_a_header_that_makes_no_sense_is_refused(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], header: str, fields: dict[str, str]
) -> None:
    answer = await post(http, header, **fields)
    assert answer.status_code == 422
    assert [fault["header"] for fault in answer.json()["errors"]] == ["Idempotency-Key"]
    assert await stored(db) == 0


async def test_two_different_keys_in_headers_are_refused(http: httpx.AsyncClient, db: asyncpg.Connection[Any]) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert (await http.post("/v1/jobs", json={"task": "a.b"}, headers=headers)).status_code == 422
    assert await stored(db) == 0


async def test_another_request_with_the_same_key_is_refused_where_the_key_stands(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any]
) -> None:
    first = await post(http, "k")
    by_header, by_body = await post(http, "k", payload=2), await post(http, payload=2, idempotency_key="k")
    for answer in (by_header, by_body):
        assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_MISMATCH")
        assert answer.headers["location"] == first.headers["location"]
    assert by_header.json()["errors"][0]["header"] == "Idempotency-Key"
    assert by_body.json()["errors"][0]["pointer"] == "/idempotency_key"
    assert await stored(db) == 1


async def test_after_a_day_a_key_is_new_again(http: httpx.AsyncClient, db: asyncpg.Connection[Any]) -> None:
    first = await post(http, "k")
    await db.execute("update esteira.idempotency_key set created_at = created_at - interval '25 h'")
    again = await post(http, "k", payload=2)
    assert codes(again) == ["TASK_UNKNOWN"]
    assert again.json()["id"] != first.json()["id"]


async def test_a_job_that_is_gone_is_replayed_as_gone(
    http: httpx.AsyncClient, worker: FakeWorker, db: asyncpg.Connection[Any]
) -> None:
    first = await post(http, "k", retry={"attempts": 1})
    [job] = await worker.claim()
    await worker.fail(job)
    await db.execute("select esteira.discard($1)", job["id"])
    again = await post(http, "k", retry={"attempts": 1})
    assert (again.status_code, again.json()["code"]) == (410, "JOB_GONE")
    assert first.json()["id"] in again.json()["detail"]
    assert await stored(db) == 0


async def test_a_replay_does_not_care_how_things_have_changed(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]], db: asyncpg.Connection[Any]
) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    first = await post(http, "k", expires_at=soon)
    await register("a.b", payload_schema={"required": ["other"]})
    await db.execute("select pg_sleep(0.3)")
    assert (await post(http, "k", expires_at=soon)).json()["id"] == first.json()["id"]
    assert (await post(http, "new", expires_at=soon)).status_code == 422


async def test_many_at_once_with_one_key_make_one_job(http: httpx.AsyncClient, db: asyncpg.Connection[Any]) -> None:
    answers = await asyncio.gather(*(post(http, "k") for _ in range(30)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == await stored(db) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 29


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"idempotency_key": "k"}, "IDEMPOTENCY_IN_FLIGHT"), ({"unique_key": "k"}, "UNIQUE_IN_FLIGHT")],
)
async def test_a_key_in_flight_elsewhere_is_a_409_and_delays_nobody_else(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], fields: dict[str, str], code: str
) -> None:
    async with asyncio.timeout(20):
        transaction = db.transaction()
        await transaction.start()
        [name] = fields
        await db.execute(f"select esteira.enqueue('a.b', $1, {name} => 'k', notify => false)", '{"n": 1}')
        held = [asyncio.create_task(post(http, **fields)) for _ in range(20)]
        await asyncio.sleep(0)
        others = await asyncio.gather(*(post(http, **{name: str(n)}) for n in range(5)), post(http))
        assert {answer.status_code for answer in others} == {202}
        assert not any(one.done() for one in held)
        for answer in await asyncio.gather(*held):
            assert (answer.status_code, answer.json()["code"]) == (409, code)
            assert answer.headers["retry-after"] == "1"
        await transaction.rollback()
    assert (await post(http, **fields)).status_code == 202


async def test_who_waits_for_a_turn_gives_up_in_time(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0)
    answers = await asyncio.gather(*(post(http, "k") for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert (await post(http, "k")).status_code in (202, 409)


async def test_a_unique_job_that_is_live_is_the_answer(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    first = await post(http, unique_key="u")
    again = await post(http, unique_key="u", payload=2)
    assert (again.status_code, codes(again)) == (202, ["UNIQUE_KEY_EXISTS"])
    assert (again.json()["id"], again.json()["payload"]) == (first.json()["id"], PAYLOAD)
    await worker.run()
    assert (await post(http, unique_key="u")).json()["id"] != first.json()["id"]


async def test_a_unique_job_that_has_not_begun_can_be_replaced(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    first = await post(http, unique_key="u")
    again = await post(http, unique_key="u", payload=2, on_conflict="replace")
    assert (again.status_code, codes(again)) == (202, ["UNIQUE_KEY_REPLACED"])
    assert (again.json()["id"], again.json()["payload"]) == (first.json()["id"], 2)
    assert "keeps its id" in again.json()["warnings"][0]["detail"]
    assert (await http.get(again.headers["location"])).json()["payload"] == 2
    await worker.claim()
    refused = await post(http, unique_key="u", payload=3, on_conflict="replace")
    assert (refused.status_code, refused.json()["code"]) == (409, "UNIQUE_CONFLICT")
    assert "begun" in refused.json()["detail"]


async def test_a_unique_job_is_refused_where_that_is_wanted(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any]
) -> None:
    first = await post(http, unique_key="u")
    again = await post(http, "k", unique_key="u", on_conflict="reject")
    assert (again.status_code, again.json()["code"]) == (409, "UNIQUE_CONFLICT")
    assert first.json()["id"] in again.json()["detail"]
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["errors"][0]["pointer"] == "/unique_key"
    assert await stored(db) == 1
    # What was refused is not remembered.
    await db.execute("select esteira.cancel($1)", UUID(first.json()["id"]))
    assert codes(await post(http, "k", unique_key="u", on_conflict="reject")) == ["TASK_UNKNOWN"]


async def test_a_task_may_declare_what_makes_its_jobs_unique(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    await register("a.b", unique_fields=["n"], unique_on_conflict="reject")
    first = await post(http)
    assert (await post(http, payload={"n": 2})).status_code == 202
    refused = await post(http)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (409, "/payload")
    existing = await post(http, on_conflict="return")
    assert (existing.json()["id"], codes(existing)) == (first.json()["id"], ["UNIQUE_KEY_EXISTS"])


async def test_a_job_expires_over_http(http: httpx.AsyncClient, db: asyncpg.Connection[Any]) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    answer = await post(http, expires_at=at.isoformat(), run_at=(at - timedelta(minutes=1)).isoformat())
    assert datetime.fromisoformat(answer.json()["expires_at"]) == at
    assert await db.fetchval("select expires_at from esteira.job") == at
