from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from esteira.errors import DatabaseUnavailable, SchemaMismatch
from esteira.settings import Settings
from esteira_service import create_app
from esteira_service.routes import health

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg
    import httpx
    from fastapi import FastAPI

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker

# Nothing listens on the discard port.
NOWHERE = "postgresql://nobody@127.0.0.1:9/none"


async def start(app: FastAPI) -> None:
    async with app.router.lifespan_context(app):
        pass


async def test_a_service_with_its_database_is_ready(http: httpx.AsyncClient) -> None:
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "warnings": []})


async def test_queues_without_a_worker_are_warnings(
    http: httpx.AsyncClient, state: State, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    await register("a.b", queues=["served"])
    for queue in ("served", "lonely"):
        await state.client.enqueue("a.b", queue=queue)
    await state.client.enqueue("a.b", queue="later", delay="1h")
    answer = await http.get("/readyz")
    assert answer.status_code == 200
    warnings = answer.json()["warnings"]
    assert {warning["code"] for warning in warnings} == {"QUEUE_WITHOUT_WORKER"}
    assert ['"later"' in warnings[0]["detail"], '"lonely"' in warnings[1]["detail"], len(warnings)] == [True, True, 2]


async def test_a_paused_queue_with_ready_jobs_is_a_warning(
    http: httpx.AsyncClient, state: State, worker: FakeWorker
) -> None:
    for queue, delay in (("held", None), ("open", None), ("later", "1h")):
        await state.client.enqueue("a.b", queue=queue, delay=delay)
    for queue in ("held", "later", "empty"):
        await state.client.pause(queue)
    [warning] = (await http.get("/readyz")).json()["warnings"]
    assert (warning["code"], "/v1/queues/held/resume" in warning["detail"]) == ("QUEUE_PAUSED", True)
    await state.client.resume("held")
    assert (await http.get("/readyz")).json()["warnings"] == []


async def test_another_schema_is_a_503_that_says_what_to_run(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any]
) -> None:
    await db.execute("update esteira.alembic_version set version_num = '0000'")
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "SCHEMA_MISMATCH")
    assert "esteira migrate" in answer.json()["detail"]
    assert (await http.get("/livez")).status_code == 200


async def test_a_database_that_does_not_answer_is_a_503_in_time(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.1)
    async with db.transaction():
        await db.execute("lock table esteira.alembic_version in access exclusive mode")
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
    assert answer.headers["retry-after"]


async def test_a_service_that_others_can_reach_says_that_it_has_no_authentication(
    app: FastAPI, http: httpx.AsyncClient, state: State, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    exposed = replace(state, settings=settings.model_copy(update={"host": "0.0.0.0"}))
    monkeypatch.setattr(app.state, "esteira", exposed)
    [warning] = (await http.get("/readyz")).json()["warnings"]
    assert warning["code"] == "NO_AUTHENTICATION"


async def test_a_service_refuses_to_start_without_a_schema(empty_database_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="esteira migrate"):
        await start(create_app(Settings(database_url=empty_database_url)))


async def test_a_service_refuses_to_start_on_a_schema_of_the_future(
    settings: Settings, db: asyncpg.Connection[Any]
) -> None:
    await db.execute("update esteira.alembic_version set version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="9999"):
        await start(create_app(settings))


async def test_a_service_does_not_start_without_its_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira.client.PATIENCE_SECONDS", 0.1)
    with pytest.raises(DatabaseUnavailable):
        await start(create_app(Settings(database_url=NOWHERE)))
