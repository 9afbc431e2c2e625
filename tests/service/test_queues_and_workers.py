from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker


async def test_queues_show_their_depth_and_who_serves_them(
    http: httpx.AsyncClient, state: State, worker: FakeWorker
) -> None:
    await state.client.enqueue("a.b")
    await state.client.enqueue("a.b", delay="1h")
    await state.client.enqueue("a.b", queue="other")
    await worker.claim()
    default, other = (await http.get("/v1/queues")).json()["items"]
    assert (default["queue"], default["ready"], default["scheduled"], default["running"]) == ("default", 0, 1, 1)
    assert (other["queue"], other["ready"], other["workers"]) == ("other", 1, 1)
    assert other["oldest_ready_age_seconds"] >= 0


async def test_workers_show_what_they_know_and_hold(http: httpx.AsyncClient, state: State, worker: FakeWorker) -> None:
    await state.client.enqueue("a.b")
    await worker.claim()
    [shown] = (await http.get("/v1/workers")).json()["items"]
    assert (shown["id"], shown["state"], shown["tasks"], shown["running"]) == (str(worker.id), "alive", ["a.b"], 1)
    assert shown["queues"] is None


@pytest.mark.parametrize("route", ["/v1/queues", "/v1/workers"])
async def test_unknown_parameters_are_refused(http: httpx.AsyncClient, route: str) -> None:
    answer = await http.get(f"{route}?state=alive")
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == ["state"]
