from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

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


async def test_tags_and_metadata_are_all_asked_for(http: httpx.AsyncClient) -> None:
    both = await enqueue(http, tags=["a", "b"], metadata={"n": 1, "s": "x", "t": True})
    one = await enqueue(http, tags=["a"], metadata={"n": "1", "s.t": None})
    await enqueue(http)
    assert await ids(http, "?tag=a") == [one, both]
    assert await ids(http, "?tag=a&tag=b") == [both]
    assert await ids(http, "?metadata.n=1") == [one, both]
    assert await ids(http, "?metadata.n=1&metadata.s=x") == [both]
    assert await ids(http, "?metadata.t=true&tag=b") == [both]
    assert await ids(http, "?metadata.s.t=null") == [one]
    assert await ids(http, "?metadata.n=2") == []


async def test_the_worker_finds_what_it_runs_and_ran(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    ran, runs, _ = [await enqueue(http) for _ in range(3)]
    await worker.run()
    await worker.claim()
    assert await ids(http, f"?worker={worker.id}") == [runs, ran]
    assert await ids(http, f"?worker={runs}") == []


async def test_times_of_creation_and_end_bound_the_list(http: httpx.AsyncClient, worker: FakeWorker) -> None:
    first, second = [await enqueue(http) for _ in range(2)]
    await worker.run()
    seen = {job["id"]: job for job in (await http.get("/v1/jobs")).json()["items"]}
    between = quote(seen[second]["created_at"])
    assert await ids(http, f"?created_after={between}") == [second]
    assert await ids(http, f"?created_before={between}") == [first]
    ended = quote(seen[first]["finished_at"])
    assert await ids(http, f"?finished_after={ended}") == [first]
    assert await ids(http, f"?finished_before={ended}") == []
    assert await ids(http, "?created_after=2150-01-01T00:00:00Z") == []
    assert await ids(http, "?created_before=2026-01-01T00:00:00-03:00") == []


async def test_a_fake_clock_moves_the_times_that_lists_know(
    http: httpx.AsyncClient, state: State, clock: Clock
) -> None:
    await state.client.database.close()
    await clock.advance(seconds=10**8)
    job = await enqueue(http)
    created = quote((await http.get(f"/v1/jobs/{job}")).json()["created_at"])
    assert await ids(http, f"?created_after={created}") == [job]
    assert await ids(http, f"?created_before={created}") == []


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "finished_at", "-finished_at"])
@pytest.mark.parametrize("query", ["", "&task=a.b", "&queue=default&status=completed"])
async def test_every_order_goes_on_over_pages(
    http: httpx.AsyncClient, worker: FakeWorker, sort: str, query: str
) -> None:
    made = [await enqueue(http) for _ in range(7)]
    jobs = await worker.claim(wanted=7)
    ended = [job for job in made if job not in (made[1], made[4])][::-1]
    for job in ended:
        await worker.complete(next(claimed for claimed in jobs if str(claimed["id"]) == job))
    live_too = "finished" not in sort and "status" not in query
    expected = made if live_too else ended if "finished" in sort else ended[::-1]
    seen: list[str] = []
    path: str | None = f"/v1/jobs?sort={sort}{query}&limit=2"
    while path:
        answer = await http.get(path)
        assert answer.status_code == 200, answer.text
        seen += [job["id"] for job in answer.json()["items"]]
        path = answer.links.get("next", {}).get("url")
    assert seen == (expected[::-1] if sort.startswith("-") else expected)


async def test_few_among_many_are_found_behind_the_nearest(
    http: httpx.AsyncClient, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esteira.lists.NEAREST", 3)
    far = [await enqueue(http, tags=["t"]) for _ in range(3)]
    for _ in range(4):
        await enqueue(http)
    near = await enqueue(http, tags=["t"])
    wanted = [near, *far[::-1]]
    assert await ids(http, "?tag=t") == wanted
    assert await ids(http, "?tag=t&limit=2") == wanted[:2]
    assert await ids(http, "?tag=t&limit=2&offset=1") == wanted[1:3]
    assert await ids(http, "?tag=t&sort=created_at&offset=3") == wanted[:1]


async def test_the_total_is_counted_if_it_is_asked_for(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        await enqueue(http)
    assert "total" not in (await http.get("/v1/jobs?count=none")).json()
    page = (await http.get("/v1/jobs?limit=1&count=exact&offset=1&queue=default")).json()
    assert (page["total"], len(page["items"])) == (3, 1)
    assert (await http.get("/v1/jobs?count=estimate")).json()["total"] >= 0


async def test_payload_and_result_are_included_if_they_are_asked_for(
    http: httpx.AsyncClient, worker: FakeWorker
) -> None:
    await enqueue(http, payload={"x": 1})
    await worker.run({"y": 2})
    [job] = (await http.get("/v1/jobs?include=payload,result")).json()["items"]
    assert (job["payload"], job["result"]) == ({"x": 1}, {"y": 2})
    [job] = (await http.get("/v1/jobs?include=result")).json()["items"]
    assert ("payload" in job, job["result"]) == (False, {"y": 2})


async def test_a_page_by_offset_is_followed_by_its_cursor(http: httpx.AsyncClient) -> None:
    jobs = [await enqueue(http, tags=["é&"]) for _ in range(4)][::-1]
    answer = await http.get("/v1/jobs?limit=2&offset=1&tag=%C3%A9%26&count=exact")
    assert [job["id"] for job in answer.json()["items"]] == jobs[1:3]
    following = await http.get(answer.links["next"]["url"])
    assert [job["id"] for job in following.json()["items"]] == jobs[3:]
    assert following.json()["total"] == 4
    both = await http.get(f"/v1/jobs?offset=1&cursor={answer.json()['next']}&tag=%C3%A9%26")
    assert [error["parameter"] for error in both.json()["errors"]] == ["offset"]


async def test_a_cursor_belongs_to_its_query(http: httpx.AsyncClient) -> None:
    for _ in range(2):
        await enqueue(http)
    cursor = (await http.get("/v1/jobs?limit=1&queue=default")).json()["next"]
    assert (await http.get(f"/v1/jobs?queue=default&limit=5&cursor={cursor}")).status_code == 200
    for query in ("", "queue=other&", "queue=default&sort=created_at&", "queue=default&metadata.k=v&"):
        answer = await http.get(f"/v1/jobs?{query}cursor={cursor}")
        assert [error["parameter"] for error in answer.json()["errors"]] == ["cursor"]


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
        ("queue=a&queue=b", "queue"),
        ("task=%00", "task"),
        ("worker=me", "worker"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-03-01T00:00:00", "created_before"),
        ("finished_after=0001-01-01T00:00:00%2B14:00", "finished_after"),
        ("offset=-1", "offset"),
        ("offset=10001", "offset"),
        ("count=true", "count"),
        ("metadata=k", "metadata"),
        ("metadata.=v", "metadata."),
        ("metadata.k=v&metadata.k=w", "metadata"),
        ("metadata.k=%00", "metadata.k"),
    ],
)
async def test_parameters_that_do_not_work_are_refused(http: httpx.AsyncClient, query: str, parameter: str) -> None:
    answer = await http.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] == "INVALID_INPUT"
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]


@pytest.mark.parametrize(
    "time", ["2026-01-31T09:00:00+00:00", "2026-01-31T09:00:00.5+0100", "2026-01-31 09:00:00+01:00"]
)
async def test_a_plus_that_the_address_lost_is_told(http: httpx.AsyncClient, time: str) -> None:
    answer = await http.get(f"/v1/jobs?created_after={time}")
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["parameter"], "%2B" in error["detail"]) == ("created_after", True)
    assert await ids(http, f"?created_after={quote(time)}") == []


@pytest.mark.parametrize("begin", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:01Z", "1970-01-01T00:00:00Z"])
@pytest.mark.parametrize("end", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z"])
async def test_a_window_may_be_as_wide_as_time(
    http: httpx.AsyncClient, worker: FakeWorker, begin: str, end: str
) -> None:
    job = await enqueue(http)
    await worker.run()
    for name in ("created", "finished"):
        assert await ids(http, f"?{name}_after={begin}&{name}_before={end}") == [job]
        assert await ids(http, f"?{name}_before={begin}") == []
        assert await ids(http, f"?{name}_after={end}") == []


async def test_more_metadata_than_a_statement_should_have_is_refused(http: httpx.AsyncClient) -> None:
    wanted = {f"k{number}": "1" for number in range(21)}
    answer = await http.get("/v1/jobs", params={f"metadata.{name}": value for name, value in wanted.items()})
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"parameter": "metadata", "detail": "20 keys at most"}],
    )
    answer = await http.post("/v1/jobs/cancel", json={"filter": {"metadata": wanted}})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/filter/metadata")
