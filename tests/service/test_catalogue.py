from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from esteira_service import catalogue
from esteira_service.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg
    import httpx

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker

ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "a/b": {"type": "string", "format": "date-time"},
    },
    "required": ["id"],
    "additionalProperties": False,
    "$defs": {"Line": {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}},
}


@pytest.fixture
def found(state: State, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    monkeypatch.undo()
    return Catalogue(state.client)


async def test_a_payload_that_fits_is_stored(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    await register("order", payload_schema=ORDER)
    # A format is an annotation: whether it holds, the worker finds.
    payload = {"id": int("9" * 1000), "lines": [{"amount": 1.5}, {"amount": 10**400}], "a/b": "soon"}
    answer = await http.post("/v1/jobs", json={"task": "order", "payload": payload})
    assert answer.status_code == 202
    assert json.loads(answer.text)["payload"] == payload
    assert json.loads((await http.get(answer.headers["location"])).text)["payload"] == payload


@pytest.mark.parametrize(
    ("payload", "pointers"),
    [
        ({}, ["/payload/id"]),
        ([], ["/payload"]),
        ({"id": "1"}, ["/payload/id"]),
        ({"id": -(10**30)}, ["/payload/id"]),
        ({"id": 1.5}, ["/payload/id"]),
        ({"id": True}, ["/payload/id"]),
        (
            {"id": 1, "lines": [{"amount": 1}, {}, {"amount": "2"}]},
            ["/payload/lines/1/amount", "/payload/lines/2/amount"],
        ),
        ({"id": 1, "a/b": 7}, ["/payload/a~1b"]),
        ({"id": 1, "x~y": 7, "z": 8}, ["/payload/x~0y", "/payload/z"]),
        ({"id": 1, "lines": [{}] * 1000}, [f"/payload/lines/{n}/amount" for n in range(20)]),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused_with_its_places(
    http: httpx.AsyncClient,
    register: Callable[..., Awaitable[FakeWorker]],
    db: asyncpg.Connection[Any],
    payload: object,
    pointers: list[str],
) -> None:
    await register("order", payload_schema=ORDER)
    answer = await http.post("/v1/jobs", json={"task": "order", "payload": payload})
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")
    assert sorted(fault["pointer"] for fault in answer.json()["errors"]) == sorted(pointers)
    assert await db.fetchval("select count(*) from esteira.job") == 0


async def test_a_fault_does_not_repeat_what_was_sent(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    await register("order", payload_schema=ORDER)
    answer = await http.post("/v1/jobs", json={"task": "order", "payload": {"id": "secret" * 1000}})
    assert answer.json()["errors"] == [{"pointer": "/payload/id", "detail": 'this is not of type "integer"'}]


async def test_a_payload_left_out_is_checked_as_an_empty_object(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    await register("order", payload_schema=ORDER)
    assert (await http.post("/v1/jobs", json={"task": "order"})).status_code == 422


async def test_the_newest_declaration_counts(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    async def status() -> int:
        return (await http.post("/v1/jobs", json={"task": "order"})).status_code

    await register("order", payload_schema=ORDER, version=2)
    assert await status() == 422
    await register("order", payload_schema={}, version=1)
    assert await status() == 422
    await register("order", payload_schema={}, version=3)
    assert await status() == 202


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "http://127.0.0.1:9/x"}, {"$ref": "#/nothing"}])
async def test_a_schema_that_cannot_be_used_checks_nothing(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]], schema: object
) -> None:
    await register("order", payload_schema=schema)
    assert (await http.post("/v1/jobs", json={"task": "order"})).status_code == 202


async def test_a_job_that_no_living_worker_would_run_is_accepted_with_a_warning(
    http: httpx.AsyncClient, register: Callable[..., Awaitable[FakeWorker]], db: asyncpg.Connection[Any]
) -> None:
    async def warnings(queue: str | None = None) -> list[str]:
        answer = await http.post("/v1/jobs", json={"task": "order", "queue": queue})
        assert answer.status_code == 202
        return [warning["code"] for warning in answer.json()["warnings"]]

    worker = await register("order", queue="billing", queues=["billing"])
    assert await warnings() == []
    assert await warnings("elsewhere") == ["NO_WORKER"]
    await register("other")
    assert await warnings("elsewhere") == ["NO_WORKER"]
    await db.execute("update esteira.worker set beat_at = beat_at - interval '1 min' where id = $1", worker.id)
    assert await warnings() == ["NO_WORKER"]


async def test_a_job_whose_queue_or_task_is_paused_is_accepted_with_a_warning(
    http: httpx.AsyncClient, state: State, worker: FakeWorker
) -> None:
    async def warnings() -> list[str]:
        return [warning["code"] for warning in (await http.post("/v1/jobs", json={"task": "a.b"})).json()["warnings"]]

    assert await warnings() == []
    await state.client.pause("default")
    assert await warnings() == ["QUEUE_PAUSED"]
    await state.client.pause_task("a.b")
    assert await warnings() == ["QUEUE_PAUSED", "TASK_PAUSED"]
    await state.client.resume("default")
    assert await warnings() == ["TASK_PAUSED"]
    await state.client.resume_task("a.b")
    assert await warnings() == []


async def test_all_requests_share_a_look(
    found: Catalogue, state: State, monkeypatch: pytest.MonkeyPatch, worker: FakeWorker
) -> None:
    queries: list[str] = []
    fetch = state.client.database.fetch

    async def noted(query: str, *args: object, **options: Any) -> Any:
        queries.append(query)
        return await fetch(query, *args, **options)

    monkeypatch.setattr(state.client.database, "fetch", noted)
    for _ in range(10):
        await found.refresh(["a.b"])
    assert len(queries) == 4
    assert found.warnings("a.b", "default") == []
    monkeypatch.setattr(catalogue, "MAX_AGE_SECONDS", 0)
    monkeypatch.setattr(catalogue, "MAX_AGE_OF_ABSENCE_SECONDS", 0)
    await found.refresh(["a.b"])
    # What has not changed is not read and compiled again.
    assert len(queries) == 7
