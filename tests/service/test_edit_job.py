from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from esteira_service.state import State
    from tests.service.conftest import FakeWorker

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


@pytest_asyncio.fixture
async def job(state: State, worker: FakeWorker) -> UUID:
    return (await state.client.enqueue("a.b", {"x": 1}, tags=["old"], metadata={"k": 1})).id


async def edit(http: httpx.AsyncClient, job: UUID, body: Any, status: int, **headers: str) -> dict[str, Any]:
    answer = await http.patch(f"/v1/jobs/{job}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_each_given_field_replaces_the_jobs(http: httpx.AsyncClient, job: UUID) -> None:
    before = (await http.get(f"/v1/jobs/{job}")).json()
    change = {
        "priority": "critical", "queue": "other", "run_at": "2150-01-01T00:00:00Z", "tags": ["new"],
        "metadata": {"m": [1]}, "payload": {"x": 2},
    }  # fmt: skip
    answer = await http.patch(f"/v1/jobs/{job}", json=change)
    assert answer.status_code == 200
    moved = {"updated_at", "poll_after_seconds"}
    assert {k: v for k, v in answer.json().items() if k not in moved} == {
        k: v for k, v in {**before, **change}.items() if k not in moved
    }
    assert answer.headers["etag"] == (await http.get(f"/v1/jobs/{job}")).headers["etag"]


async def test_what_is_left_out_stays(http: httpx.AsyncClient, job: UUID) -> None:
    shown = await edit(http, job, {"tags": []}, 200)
    assert (shown["tags"], shown["metadata"], shown["payload"], shown["queue"]) == ([], {"k": 1}, {"x": 1}, "default")


async def test_a_payload_may_become_null(http: httpx.AsyncClient, job: UUID) -> None:
    assert (await edit(http, job, {"payload": None}, 200))["payload"] is None


async def test_a_running_job_keeps_its_place_and_payload_but_takes_tags(
    http: httpx.AsyncClient, worker: FakeWorker, job: UUID
) -> None:
    await worker.claim()
    for change in ({"priority": "low"}, {"queue": "q"}, {"run_at": "2150-01-01T00:00:00Z"}, {"payload": {"x": 2}}):
        assert (await edit(http, job, {**change, "tags": ["no"]}, 409))["code"] == "ILLEGAL_TRANSITION"
    assert (await edit(http, job, {"tags": ["yes"]}, 200))["tags"] == ["yes"]


async def test_a_stale_tag_is_a_412_and_changes_nothing(http: httpx.AsyncClient, job: UUID) -> None:
    stale = (await http.get(f"/v1/jobs/{job}")).headers["etag"]
    await edit(http, job, {"tags": ["first"]}, 200, **{"If-Match": stale})
    assert (await edit(http, job, {"tags": ["second"]}, 412, **{"If-Match": stale}))["code"] == "CHANGED"
    assert (await http.get(f"/v1/jobs/{job}")).json()["tags"] == ["first"]
    await edit(http, job, {"tags": ["second"]}, 200, **{"If-Match": "*"})


async def test_the_body_can_say_it_instead(http: httpx.AsyncClient, job: UUID) -> None:
    seen = (await http.get(f"/v1/jobs/{job}")).json()["updated_at"]
    await edit(http, job, {"tags": ["first"], "unchanged_since": seen}, 200)
    assert (await edit(http, job, {"tags": ["second"], "unchanged_since": seen}, 412))["code"] == "CHANGED"


async def test_nothing_comes_between_the_look_and_the_change(
    http: httpx.AsyncClient, state: State, job: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = (await http.get(f"/v1/jobs/{job}")).headers["etag"]
    edit_job = state.client.__class__.edit

    async def late(client: Any, *args: Any, **options: Any) -> Any:
        await edit_job(client, job, metadata={"by": "somebody else"})
        return await edit_job(client, *args, **options)

    monkeypatch.setattr(state.client.__class__, "edit", late)
    await edit(http, job, {"tags": ["lost"]}, 412, **{"If-Match": tag})


async def test_a_payload_is_checked_against_what_the_task_declares(
    http: httpx.AsyncClient, state: State, register: Callable[..., Awaitable[FakeWorker]]
) -> None:
    await register("c.d", payload_schema=SCHEMA)
    job = (await state.client.enqueue("c.d", {"x": 1})).id
    problem = await edit(http, job, {"payload": {"x": "one"}}, 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/payload/x"]
    await edit(http, job, {"payload": {"x": 2}}, 200)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ([], ""),
        ({"unchanged_since": "2026-03-01T00:00:00Z"}, ""),
        ({"priority": "urgent"}, "/priority"),
        ({"priority": None}, "/priority"),
        ({"tags": None}, "/tags"),
        ({"tags": [1]}, "/tags/0"),
        ({"metadata": []}, "/metadata"),
        ({"metadata": {"k": "\0"}}, "/metadata/k"),
        ({"payload": "\0"}, "/payload"),
        ({"queue": "a b"}, "/queue"),
        ({"queue": "fila-ção"}, "/queue"),
        ({"run_at": "2201-01-01T00:00:00Z"}, "/run_at"),
        ({"run_at": "2026-03-01T00:00:00"}, "/run_at"),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, "/run_at"),
        ({"task": "c.d"}, "/task"),
    ],
)
async def test_bad_input_is_refused_with_its_place(http: httpx.AsyncClient, job: UUID, body: Any, pointer: str) -> None:
    problem = await edit(http, job, body, 422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_a_header_that_is_no_tag_is_refused(http: httpx.AsyncClient, job: UUID) -> None:
    problem = await edit(http, job, {"tags": []}, 422, **{"If-Match": "abc"})
    assert [error["header"] for error in problem["errors"]] == ["If-Match"]


async def test_a_job_that_is_not_there_is_a_404(http: httpx.AsyncClient) -> None:
    assert (await edit(http, uuid4(), {"tags": []}, 404))["code"] == "JOB_NOT_FOUND"
