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


async def test_a_queue_is_shown_by_its_name_slashes_and_all(http: httpx.AsyncClient, state: State) -> None:
    await state.client.enqueue("a.b", queue="reports/daily")
    for path in ("reports/daily", "reports%2Fdaily"):
        shown = (await http.get(f"/v1/queues/{path}")).json()
        assert (shown["queue"], shown["ready"], shown["paused_at"]) == ("reports/daily", 1, None)


async def test_a_queue_of_which_nothing_is_known_is_a_404(http: httpx.AsyncClient) -> None:
    for answer in (
        await http.get("/v1/queues/nobody's"),
        await http.post("/v1/queues/nobody's/resume"),
        await http.post("/v1/queues/nobody's/purge"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "QUEUE_NOT_FOUND")
        assert '"nobody\'s"' in answer.json()["detail"]


async def test_a_paused_queue_is_not_claimed_until_it_is_resumed(
    http: httpx.AsyncClient, state: State, worker: FakeWorker
) -> None:
    await state.client.enqueue("a.b", queue="some/where")
    paused = (await http.post("/v1/queues/some/where/pause")).json()
    assert paused["paused_at"] is not None
    assert (await http.post("/v1/queues/some/where/pause")).json()["paused_at"] == paused["paused_at"]
    assert await worker.claim(queue="some/where") == []
    assert (await http.post("/v1/queues/some/where/resume")).json()["paused_at"] is None
    assert len(await worker.claim(queue="some/where")) == 1


async def test_a_queue_can_be_paused_before_its_first_job(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/queues/early/pause")
    assert (answer.status_code, answer.json()["queue"], answer.json()["ready"]) == (200, "early", 0)


async def test_a_purge_cancels_what_does_not_run(http: httpx.AsyncClient, state: State, worker: FakeWorker) -> None:
    for queue, delay in (("default", None), ("default", "1h"), ("default", None), ("other", None)):
        await state.client.enqueue("a.b", queue=queue, delay=delay)
    await worker.claim()
    assert (await http.post("/v1/queues/default/purge")).json() == {"purged": 2}
    assert (await http.post("/v1/queues/default/purge")).json() == {"purged": 0}
    assert (await http.get("/v1/stats")).json()["ready"] == 1


async def test_what_is_kept_is_set_whole(http: httpx.AsyncClient) -> None:
    def kept(answer: httpx.Response) -> tuple[float | None, float | None]:
        assert answer.status_code == 200, answer.text
        return answer.json()["keep_finished_seconds"], answer.json()["keep_dead_seconds"]

    body = {"keep_finished_seconds": 3600, "keep_dead_seconds": 86400}
    assert kept(await http.put("/v1/queues/short", json=body)) == (3600, 86400)
    assert kept(await http.get("/v1/queues/short")) == (3600, 86400)
    assert kept(await http.put("/v1/queues/short", json={"keep_dead_seconds": 1.5})) == (None, 1.5)
    assert kept(await http.put("/v1/queues/short", json={})) == (None, None)
    longest = {"keep_finished_seconds": 3_110_400_000}
    assert kept(await http.put("/v1/queues/short", json=longest)) == (3_110_400_000, None)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"keep_finished_seconds": 0.5}, "/keep_finished_seconds"),
        ({"keep_dead_seconds": 3_110_400_001}, "/keep_dead_seconds"),
        ({"limit": 3}, "/limit"),
        ([], ""),
    ],
)
async def test_settings_that_make_no_sense_are_refused(http: httpx.AsyncClient, body: object, pointer: str) -> None:
    answer = await http.put("/v1/queues/short", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await http.get("/v1/queues/short")).status_code == 404


@pytest.mark.parametrize("name", ["a%20b", "%00", "-x", "x" * 101])
async def test_what_no_job_can_name_is_refused(http: httpx.AsyncClient, name: str) -> None:
    for answer in (
        await http.post(f"/v1/queues/{name}/pause"),
        await http.put(f"/v1/queues/{name}", json={}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")
        assert [error["parameter"] for error in answer.json()["errors"]] == ["queue"]


@pytest.mark.parametrize("route", ["/v1/queues", "/v1/workers", "/v1/tasks", "/v1/stats", "/v1/queues/q"])
async def test_unknown_parameters_are_refused(http: httpx.AsyncClient, route: str) -> None:
    answer = await http.get(f"{route}?state=alive")
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == ["state"]
