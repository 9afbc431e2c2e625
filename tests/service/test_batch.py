from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from esteira.errors import DatabaseUnavailable
from esteira_service import batch, bodies
from esteira_service.batch import MAX_BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    import asyncpg
    import httpx

    from esteira.new_job import Enqueued, NewJob
    from esteira_service.state import State
    from tests.service.conftest import FakeWorker

JSON = {"content-type": "application/json"}
OBJECT_OF_N = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


async def stored(db: asyncpg.Connection[Any]) -> int:
    found: int = await db.fetchval("select count(*) from esteira.job")
    return found


async def post(http: httpx.AsyncClient, jobs: Sequence[Any], **fields: Any) -> httpx.Response:
    return await http.post("/v1/jobs/batch", json={"jobs": jobs, **fields})


async def test_each_job_has_its_outcome_in_order(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    answer = await post(http, [{"task": "a.b", "payload": n} for n in range(5)])
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["refused"], told["warnings"]) == (5, 0, [])
    assert {(item["status"], item["outcome"]) for item in told["items"]} == {(202, "enqueued")}
    jobs = [(await http.get(f"/v1/jobs/{item['id']}")).json() for item in told["items"]]
    assert [job["payload"] for job in jobs] == list(range(5))


INVALID = [
    ('{"task": ""}', 422, "/task"),
    ('{"task": "a.b", "payload": NaN}', 422, "/payload"),
    (r'{"task": "a.b", "payload": "\ud800"}', 422, "/payload"),
    (r'{"task": "a.b", "payload": "\u0000"}', 422, "/payload"),
    (f'{{"task": "a.b", "payload": {"9" * 5000}}}', 422, "/payload"),
    (f'{{"task": "a.b", "payload": {"[" * 101}{"]" * 101}}}', 422, "/payload"),
    ("17", 422, ""),
    (f'{{"task": "a.b", "payload": "{"x" * bodies.MAX_BYTES}"}}', 413, None),
    ('{"task": "strict", "payload": {"n": "1"}}', 422, "/payload/n"),
    ('{"task": "a.b", "queue": "três"}', 422, "/queue"),
    ('{"task": "a.b", "nonsense": 1}', 422, "/nonsense"),
    ('{"task": "a.b", "expires_at": "2001-01-01T00:00:00Z"}', 422, "/expires_at"),
]


async def test_invalid_jobs_do_not_hinder_the_others(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]], db: asyncpg.Connection[Any]
) -> None:
    await register("strict", payload_schema=OBJECT_OF_N)
    valid = f'{{"task": "a.b", "payload": {"9" * 1000}}}'
    items = ", ".join([valid, *(item for item, _, _ in INVALID), valid])
    answer = await http.post("/v1/jobs/batch", content=f'{{"jobs": [{items}]}}'.encode(), headers=JSON)
    assert answer.status_code == 200, answer.text
    first, *told, last = answer.json()["items"]
    assert (first["status"], last["status"]) == (202, 202)
    for place, (item, (_, status, pointer)) in enumerate(zip(told, INVALID, strict=True), 1):
        errors = [] if pointer is None else [f"/jobs/{place}{pointer}"]
        assert item["status"] == item["problem"]["status"] == status
        assert [fault["pointer"] for fault in item["problem"].get("errors", [])] == errors
    assert await db.fetchval("select array_agg(payload::text) from esteira.job") == ["9" * 1000] * 2


async def test_an_atomic_batch_is_stored_as_a_whole(http: httpx.AsyncClient, db: asyncpg.Connection[Any]) -> None:
    answer = await post(http, [{"task": "a.b", "unique_key": str(n % 3)} for n in range(5)], atomic=True)
    assert [item["outcome"] for item in answer.json()["items"]] == ["enqueued"] * 3 + ["existing"] * 2
    assert await stored(db) == 3


@pytest.mark.parametrize(
    ("wrong", "status", "code", "pointer"),
    [
        ({"task": "a.b", "priority": "urgent"}, 422, "INVALID_INPUT", "/jobs/2/priority"),
        ({"task": "a.b", "queue": "três"}, 422, "INVALID_INPUT", "/jobs/2/queue"),
        ({"task": "a.b", "payload": "x" * bodies.MAX_BYTES}, 413, "PAYLOAD_TOO_LARGE", "/jobs/2"),
        ({"task": "a.b", "unique_key": "u", "on_conflict": "reject"}, 409, "UNIQUE_CONFLICT", "/jobs/2/unique_key"),
        ({"task": "a.b", "payload": 2, "idempotency_key": "i"}, 422, "IDEMPOTENCY_MISMATCH", "/jobs/2/idempotency_key"),
    ],
)
async def test_an_atomic_batch_with_one_wrong_job_stores_none(
    http: httpx.AsyncClient,
    db: asyncpg.Connection[Any],
    wrong: dict[str, Any],
    status: int,
    code: str,
    pointer: str,
) -> None:
    jobs = [{"task": "a.b", "unique_key": "u"}, {"task": "a.b", "idempotency_key": "i"}, wrong, {"task": "a.b"}]
    answer = await post(http, jobs, atomic=True)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert await stored(db) == 0
    assert await db.fetchval("select count(*) from esteira.idempotency_key") == 0


async def test_keys_count_within_a_batch_and_before_it(http: httpx.AsyncClient, db: asyncpg.Connection[Any]) -> None:
    await http.post("/v1/jobs", json={"task": "a.b", "idempotency_key": "i"})
    jobs = [
        {"task": "a.b", "idempotency_key": "i"}, {"task": "a.b", "payload": 1, "idempotency_key": "i"},
        {"task": "a.b", "unique_key": "u"}, {"task": "a.b", "unique_key": "u"},
        {"task": "a.b", "unique_key": "u", "on_conflict": "replace"},
        {"task": "a.b", "unique_key": "u", "on_conflict": "reject"},
    ]  # fmt: skip
    told = (await post(http, jobs)).json()["items"]
    outcomes = [item.get("outcome") or item["problem"]["code"] for item in told]
    assert outcomes == ["replayed", "IDEMPOTENCY_MISMATCH", "enqueued", "existing", "replaced", "UNIQUE_CONFLICT"]
    assert await stored(db) == 2


async def test_warnings_are_said_once(http: httpx.AsyncClient) -> None:
    answer = await post(http, [{"task": "nobody.knows"}] * 20 + [{"task": "nor.this"}])
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["TASK_UNKNOWN"] * 2


async def test_ten_thousand_jobs_go_in_chunks_and_one_more_is_refused(
    http: httpx.AsyncClient, state: State, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    enqueue_each = state.client.enqueue_each

    async def noted(jobs: Sequence[NewJob]) -> list[Enqueued]:
        sizes.append(len(jobs))
        return await enqueue_each(jobs)

    monkeypatch.setattr(state.client, "enqueue_each", noted)
    answer = await post(http, [{"task": "a.b"}] * 10_000)
    assert answer.json()["accepted"] == await stored(db) == 10_000
    assert sizes == [1000] * 10
    answer = await post(http, [{"task": "a.b"}] * 10_001)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/jobs")
    assert await stored(db) == 10_000


async def test_who_was_stored_is_told_where_the_database_goes_away_in_between(
    http: httpx.AsyncClient, state: State, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue_each = state.client.enqueue_each
    calls = 0

    async def once(jobs: Sequence[NewJob]) -> list[Enqueued]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise DatabaseUnavailable("gone")
        return await enqueue_each(jobs)

    monkeypatch.setattr(state.client, "enqueue_each", once)
    told = (await post(http, [{"task": "a.b"}] * 2500)).json()
    assert [item["status"] for item in told["items"]] == [202] * 1000 + [503] * 1500
    assert (told["accepted"], calls) == (1000, 2)
    assert await stored(db) == 1000


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ("", 400, None),
        ('{"jobs": [{"task": "a.b"},]}', 400, None),
        ('{"jobs": [{"task": "a.b"}', 400, None),
        ('{"jobs": [{"task": "a.b"}]} {}', 400, None),
        ('{"jobs": [{"task": "a.b"}], }', 400, None),
        ('{"jobs": [{"task": "a.b"}] "atomic": true}', 400, None),
        ('{"jobs": [{"task" "a.b"}]}', 400, None),
        ('{"jobs": [{"task": "a.b"}], 7: 7}', 400, None),
        ("[]", 422, ""),
        ("{}", 422, "/jobs"),
        ('{"jobs": {}}', 422, "/jobs"),
        ('{"jobs": [{"task": "a.b"}], "atomic": 1}', 422, "/atomic"),
        ('{"jobs": [{"task": "a.b"}], "all~or/none": 1}', 422, "/all~0or~1none"),
        ('{"jobs": [{"task": "a.b"}, ' + "[" * 100_000 + "]" * 100_000 + "]}", 422, "/jobs/1"),
    ],
)
async def test_what_is_no_batch_is_refused_as_a_whole(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], body: str, status: int, pointer: str | None
) -> None:
    answer = await http.post("/v1/jobs/batch", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    assert [fault["pointer"] for fault in answer.json().get("errors", [])] == ([] if pointer is None else [pointer])
    assert await stored(db) == 0


async def test_members_come_in_any_order_and_layout(http: httpx.AsyncClient, db: asyncpg.Connection[Any]) -> None:
    body = '\r\n{ "atomic" :\ttrue , "jobs" : [ {"task":"a.b","payload":"é \\u00e9 ]}"} , {"task":"a.b"}\n] } '
    answer = await http.post("/v1/jobs/batch", content=body.encode(), headers=JSON)
    assert answer.json()["accepted"] == 2
    assert json.loads(await db.fetchval("select payload from esteira.job order by id limit 1")) == "é é ]}"


async def test_a_batch_of_none_is_in_order(http: httpx.AsyncClient) -> None:
    assert (await post(http, [])).json() == {"accepted": 0, "refused": 0, "warnings": [], "items": []}
    assert (await post(http, [], atomic=True)).json()["items"] == []


async def test_a_batch_has_no_key_of_its_own(http: httpx.AsyncClient, db: asyncpg.Connection[Any]) -> None:
    answer = await http.post("/v1/jobs/batch", json={"jobs": [{"task": "a.b"}]}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["errors"][0]["header"]) == (422, "Idempotency-Key")
    assert await stored(db) == 0


async def test_a_batch_may_be_larger_than_a_job_but_not_endless(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await post(http, [{"task": "a.b", "payload": "x" * 1_000_000}] * 3)).json()["accepted"] == 3
    headers = {**JSON, "content-length": str(MAX_BATCH_BYTES + 1)}

    async def nothing() -> AsyncIterator[bytes]:
        yield b"{"

    assert (await http.post("/v1/jobs/batch", content=nothing(), headers=headers)).status_code == 413
    assert await stored(db) == 3


async def test_chunks_are_bounded_by_size_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_CHARACTERS", 10)
    places = [slice(0, 4), slice(4, 8), slice(8, 12), slice(12, 40), slice(40, 41)]
    assert list(batch._chunks(places)) == [range(2), range(2, 3), range(3, 4), range(4, 5)]
