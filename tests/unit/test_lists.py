"""Plans of lists over much history. What is bounded is blocks touched, the same on every machine; seconds are not."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest_asyncio

from bench.history import fill
from esteira.database.composed import compiled
from esteira.job_filter import JobFilter, Page
from esteira.lists import jobs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

ROWS = 140_000
# Walking over all of history touches more than ROWS; the nearest are 10,000, with their index.
FEW, NEAREST = 600, 14_000


@pytest_asyncio.fixture
async def history(connect: Callable[..., Awaitable[asyncpg.Connection[Any]]]) -> asyncpg.Connection[Any]:
    connection = await connect(server_settings={"enable_seqscan": "off", "max_parallel_workers_per_gather": "0"})
    await fill(connection, ROWS)
    # Much, but long ago: what the planner, who takes it to lie evenly, would look for in the order of the list.
    await connection.execute(
        "update esteira.job_finished set queue = 'retired' where finished_at < clock_timestamp() - interval '6 days'"
    )
    await connection.execute("analyze esteira.job")
    return connection


async def test_no_list_walks_through_history(history: asyncpg.Connection[Any]) -> None:
    oldest = await history.fetchrow(
        "select worker_id, finished_at from esteira.job_finished order by finished_at limit 1"
    )
    assert oldest is not None
    day = timedelta(days=1)
    bounds: list[tuple[int, JobFilter, Page]] = [
        (FEW, JobFilter(), Page()),
        (FEW, JobFilter(status=["dead"]), Page()),
        (FEW, JobFilter(status=["cancelled"]), Page(sort="created_at")),
        (FEW, JobFilter(stuck=True), Page()),
        (FEW, JobFilter(created_before=oldest["finished_at"] + day), Page()),
        (FEW, JobFilter(finished_before=oldest["finished_at"] + day), Page()),
        (FEW, JobFilter(created_after=oldest["finished_at"] + 3 * day), Page(sort="created_at")),
        (FEW, JobFilter(), Page(sort="-finished_at")),
        (3 * FEW, JobFilter(queue="queue-7"), Page()),
        (NEAREST, JobFilter(task="app.rare"), Page()),
        (NEAREST, JobFilter(tags=["rare"]), Page(sort="-finished_at")),
        (NEAREST, JobFilter(metadata={"customer": "c77"}), Page()),
        (NEAREST, JobFilter(task="app.none"), Page()),
        (NEAREST, JobFilter(queue="retired"), Page()),
        (NEAREST, JobFilter(worker=oldest["worker_id"]), Page()),
    ]
    cost = {repr((wanted, page)): (await blocks(history, wanted, page), bound) for bound, wanted, page in bounds}
    assert {key: value for key, value in cost.items() if value[0] > value[1]} == {}, cost


async def blocks(connection: asyncpg.Connection[Any], wanted: JobFilter, page: Page) -> int:
    statement, parameters = compiled(jobs(wanted, page), ())
    explain = f"explain (analyze, buffers, timing off, format json) {statement}"
    plan = json.loads(await connection.fetchval(explain, *parameters))[0]["Plan"]
    touched: int = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return touched


def test_only_those_who_list_pay_for_the_import_of_sqlalchemy() -> None:
    script = "import sys, esteira_worker.engine, esteira_worker.supervisor; print('sqlalchemy' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout == "False\n"
