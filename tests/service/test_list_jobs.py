from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    import httpx

    from esteira_service.state import State
    from tests.postgres import Clock
    from tests.service.conftest import FakeWorker


async def ids(http: httpx.AsyncClient, query: str) -> list[str]:
    answer = await http.get(f"/v1/jobs{query}")
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["items"]]


async def enqueue(http: httpx.AsyncClient, **fields: object) -> str:
    job_id: str = (await http.post("/v1/jobs", json={"task": "a.b", **fields})).json()["id"]
    return job_id


async def test_the_newest_comes_first_without_payload_and_result(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    old = await enqueue(http, payload={"secret": 1})
    await worker.run({"secret": 2})
    new = await enqueue(http)
    page = (await http.get("/v1/jobs")).json()
    assert [job["id"] for job in page["items"]] == [new, old]
    assert page["next"] is None
    whole = (await http.get(f"/v1/jobs/{old}")).json()
    assert whole.keys() - page["items"][1].keys() == {"payload", "result"}
    assert page["items"][1] == {name: value for name, value in whole.items() if name not in ("payload", "result")}


async def test_filters_narrow_the_list(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    done = await enqueue(http)
    await worker.run()
    other_queue = await enqueue(http, queue="other")
    other_task = await enqueue(http, task="c.d")
    assert await ids(http, "?status=completed") == [done]
    assert await ids(http, "?status=completed,queued&task=a.b") == [other_queue, done]
    assert await ids(http, "?status=completed&status=queued") == [other_task, other_queue, done]
    assert await ids(http, "?queue=other") == [other_queue]
    assert await ids(http, "?task=c.d") == [other_task]
    assert await ids(http, "?queue=nobody's") == []


async def test_stuck_jobs_are_listed_apart(http: httpx.AsyncClient, state: State, clock: Clock) -> None:
    old = await enqueue(http)
    # The service's sessions take over the database's time when they are made.
    await state.client.database.close()
    await clock.advance(seconds=301)
    await enqueue(http)
    assert await ids(http, "?stuck=true") == [old]


async def test_pages_follow_one_another_until_the_last(http: httpx.AsyncClient) -> None:
    wanted = [await enqueue(http, queue="q") for _ in range(5)][::-1]
    await enqueue(http)
    seen: list[str] = []
    query = "?queue=q&limit=2"
    for _ in range(3):
        answer = await http.get(f"/v1/jobs{query}")
        seen += [job["id"] for job in answer.json()["items"]]
        if answer.json()["next"] is None:
            break
        link = answer.links["next"]["url"]
        query = "?" + urlsplit(link).query
        assert parse_qs(query[1:]) == {"queue": ["q"], "limit": ["2"], "cursor": [answer.json()["next"]]}
    assert seen == wanted
    assert "link" not in answer.headers


async def test_a_full_last_page_has_no_next(http: httpx.AsyncClient) -> None:
    for _ in range(2):
        await enqueue(http)
    assert (await http.get("/v1/jobs?limit=2")).json()["next"] is None


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("status=done", "status"),
        ("status=", "status"),
        ("stuck=false", "stuck"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("include=bodies", "include"),
        ("sort=-id", "sort"),
    ],
)
async def test_parameters_that_do_not_work_are_refused(http: httpx.AsyncClient, query: str, parameter: str) -> None:
    answer = await http.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] == "INVALID_INPUT"
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]
