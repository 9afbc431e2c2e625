from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from esteira.errors import DatabaseUnavailable, SchemaMismatch
from esteira.rights import GRANT
from esteira.settings import Settings
from esteira_service import create_app
from esteira_service.routes import health
from tests.roles import ROLES, account, as_account

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg
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


async def test_tasks_whose_ready_jobs_nobody_claims_are_warnings(
    http: httpx.AsyncClient, state: State, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    await register("a.held", "a.fine", queues=["served"])
    await register("a.elsewhere", queues=["other"])
    for task in ("a.held", "a.fine", "a.elsewhere", "a.unknown"):
        await state.client.enqueue(task, queue="served", priority="low")
    await state.client.enqueue("a.later", queue="served", delay="1h")
    await state.client.pause_task("a.held")
    found = {warning["detail"].split()[5]: warning for warning in (await http.get("/readyz")).json()["warnings"]}
    assert {task: warning["code"] for task, warning in found.items()} == {
        "a.held": "TASK_PAUSED",
        "a.elsewhere": "TASK_WITHOUT_WORKER",
        "a.unknown": "TASK_WITHOUT_WORKER",
    }
    assert "POST /v1/tasks/a.held/resume" in found["a.held"]["detail"]


@pytest.mark.parametrize(
    ("group", "ready", "warnings", "enqueued"),
    [
        ("esteira_reader", (503, "DATABASE_FORBIDS"), [], (503, "DATABASE_FORBIDS")),
        ("esteira_worker", (200, None), ["RIGHTS_MISSING"], (202, None)),
        ("esteira_service", (200, None), [], (202, None)),
    ],
)
async def test_an_account_that_lacks_a_right_is_told_with_what_to_grant(
    database_url: str,
    run_psql: Callable[..., str],
    group: str,
    ready: tuple[int, str | None],
    warnings: list[str],
    enqueued: tuple[int, str | None],
) -> None:
    run_psql(database_url, "--single-transaction", "-f", ROLES)
    with account(database_url, group) as (name, password):
        app = create_app(Settings(database_url=as_account(database_url, name, password)))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as http,
        ):
            answers = await http.get("/readyz"), await http.post("/v1/jobs", json={"task": "a.b"})
    assert [(answer.status_code, answer.json().get("code")) for answer in answers] == [ready, enqueued]
    told = answers[0].json().get("warnings", [])
    assert [warning["code"] for warning in told if warning["code"] != "QUEUE_WITHOUT_WORKER"] == warnings
    for said in (*(warning["detail"] for warning in told), *(answer.json().get("detail", GRANT) for answer in answers)):
        assert GRANT in said


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
