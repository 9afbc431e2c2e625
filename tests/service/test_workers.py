from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker


async def test_workers_show_what_they_know_and_hold(http: httpx.AsyncClient, state: State, worker: FakeWorker) -> None:
    await state.client.enqueue("a.b")
    await worker.claim()
    [shown] = (await http.get("/v1/workers")).json()["items"]
    assert (shown["id"], shown["state"], shown["tasks"], shown["running"]) == (str(worker.id), "alive", ["a.b"], 1)
    assert shown["queues"] is None


async def test_a_worker_is_asked_to_leave(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    answer = await http.post(f"/v1/workers/{worker.id}/drain")
    assert (answer.status_code, answer.json()["id"]) == (202, str(worker.id))
    again = await http.post(f"/v1/workers/{worker.id}/drain")
    assert again.json() == answer.json()
    [shown] = (await http.get("/v1/workers")).json()["items"]
    assert shown["state"] == "draining"


async def test_a_worker_that_is_not_there_cannot_be_asked(http: httpx.AsyncClient) -> None:
    answer = await http.post(f"/v1/workers/{uuid4()}/drain")
    assert (answer.status_code, answer.json()["code"]) == (404, "WORKER_NOT_FOUND")
    answer = await http.post("/v1/workers/me/drain")
    assert [error["parameter"] for error in answer.json()["errors"]] == ["worker_id"]


async def test_a_worker_with_held_slots_says_so_everywhere(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], worker: FakeWorker
) -> None:
    await db.fetch("select * from esteira.heartbeat($1, 1)", worker.id)
    [shown] = (await http.get("/v1/workers")).json()["items"]
    assert (shown["held_slots"], shown["free_slots"]) == (1, shown["slots"] - 1)
    assert "hold 1 of its" in shown["trouble"]
    [warning] = (await http.get("/readyz")).json()["warnings"]
    assert (warning["code"], shown["trouble"] in warning["detail"]) == ("WORKER_HELD", True)
