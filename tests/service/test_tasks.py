from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker


async def test_tasks_are_shown_as_they_are_declared(
    http: httpx.AsyncClient, state: State, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    schema = {"type": "object", "maxProperties": 10**30}
    await register("b/c", "a.b", payload_schema=schema, max_attempts=7, steps=["one"])
    await state.client.enqueue("b/c")
    assert [task["task"] for task in (await http.get("/v1/tasks")).json()["items"]] == ["a.b", "b/c"]
    shown = (await http.get("/v1/tasks/b/c")).json()
    assert (shown["task"], shown["max_attempts"], shown["steps"], shown["ready"]) == ("b/c", 7, ["one"], 1)
    assert (shown["payload_schema"], shown["workers"], shown["paused_at"]) == (schema, 1, None)


async def test_a_paused_task_is_not_claimed_until_it_is_resumed(
    http: httpx.AsyncClient, state: State, worker: FakeWorker
) -> None:
    await state.client.enqueue("a.b")
    assert (await http.post("/v1/tasks/a.b/pause")).json()["paused_at"] is not None
    assert await worker.claim() == []
    assert (await http.post("/v1/tasks/a.b/resume")).json()["paused_at"] is None
    assert len(await worker.claim()) == 1


@pytest.mark.parametrize(("method", "act"), [("GET", ""), ("POST", "/pause"), ("POST", "/resume")])
async def test_a_task_that_nobody_declared_is_a_404(http: httpx.AsyncClient, method: str, act: str) -> None:
    answer = await http.request(method, f"/v1/tasks/no.such{act}")
    assert (answer.status_code, answer.json()["code"]) == (404, "TASK_NOT_FOUND")
