"""Pages of the list over HTTP, over a week of jobs that have ended, and what the indexes of a day cost a settle."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import httpx

from bench.history import fill
from bench.measured import Figure, latencies
from bench.scale import Scale
from bench.scenario import Scenario
from bench.serving import serving
from bench.session import Session
from bench.settle import settle_share

CALLS = 100


async def _round(session: Session, scale: Scale) -> list[Figure]:
    connection = await session.place.connected()
    await connection.execute("reset enable_seqscan")
    await fill(connection, scale.finished_jobs)
    worker = await connection.fetchval(
        "select worker_id from esteira.job_finished where finished_at > clock_timestamp() - interval '4 days'"
        " order by finished_at limit 1"
    )
    figures = []
    with (
        serving("esteira_service", session.place.url) as service,
        httpx.Client(base_url=service, timeout=60) as http,
    ):
        for name, query in _queries(http, str(worker)).items():
            figures += latencies(f"{name}, ", _seconds(http, query))
        figures += [_counted(http, count) for count in ("estimate", "exact")]
    return [
        *figures,
        Figure("settle without the indexes of lists / with", await settle_share(connection), "share", "more"),
    ]


def _queries(http: httpx.Client, worker: str) -> dict[str, str]:
    now = datetime.now(UTC)
    there = now - timedelta(days=3, hours=5)
    hour = f"{_time(there)}&created_before={_time(there + timedelta(hours=1))}"
    middle = http.get(f"/v1/jobs?created_before={_time(there)}&limit=1").json()
    by_end = http.get(f"/v1/jobs?sort=-finished_at&finished_before={_time(there)}&limit=1").json()
    return {
        "first page": "",
        "deep cursor": f"created_before={_time(there)}&cursor={middle['next']}",
        "offset 10,000": "offset=10000",
        "a queue (1 of 20)": "queue=queue-7",
        "a task (1 of 50)": "task=app.task-7",
        "a rare task (56 jobs)": "task=app.rare",
        "a task that never was": "task=app.none",
        "a tag (1 of 300 jobs)": "tag=tag-7",
        "a rare tag (56 jobs)": "tag=rare",
        "metadata (1 of 50,000 jobs)": "metadata.customer=c77",
        "metadata that never was": "metadata.customer=nobody",
        "a worker of four days ago (30,000 jobs)": f"worker={worker}",
        "dead": "status=dead",
        "cancelled": "status=cancelled",
        "live": "status=queued,running,waiting",
        "created within an hour three days ago": f"created_after={hour}",
        "created before three days ago": f"created_before={_time(there)}",
        "finished within an hour three days ago": f"finished_after={hour}".replace("created", "finished"),
        "the last to end": "sort=-finished_at",
        "the last to end, deep cursor": (f"sort=-finished_at&finished_before={_time(there)}&cursor={by_end['next']}"),
        "the last of a queue to end": "sort=-finished_at&queue=queue-7",
        "the last of a rare task to end": "sort=-finished_at&task=app.rare",
        "stuck": "stuck=true",
        "first page, count=estimate": "count=estimate",
        "a queue, count=estimate": "queue=queue-7&count=estimate",
        "first page, payload and result": "include=payload,result",
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _counted(http: httpx.Client, count: str) -> Figure:
    began = time.perf_counter()
    http.get(f"/v1/jobs?count={count}&limit=1").raise_for_status()
    return Figure(f"count={count}", (time.perf_counter() - began) * 1000, "ms", "less")


def _seconds(http: httpx.Client, query: str) -> list[float]:
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        http.get(f"/v1/jobs?{query}").raise_for_status()
        took.append(time.perf_counter() - began)
    return took


SCENARIO = Scenario("lists", "Lists over the history", _round, rounds="once", alone=True, long=True)
