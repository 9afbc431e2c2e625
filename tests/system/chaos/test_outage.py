"""The database is away for several leases, and clocks are wrong: nobody is given up for it."""

from __future__ import annotations

import asyncio
import shutil
import signal
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from esteira import Client, NewJob
from esteira.embedded import EmbeddedPostgres
from tests.proxy import running_proxy
from tests.system.chaos.conftest import LEASE, SECONDS
from tests.system.conftest import TASKS
from tests.worker.conftest import until
from tests.worker.processes import running_worker

OUTAGE_SECONDS = 60 if SECONDS else 5 * LEASE
LIBFAKETIME = "faketime/libfaketime.so.1"
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def libfaketime() -> Path:
    """The library that gives one process another clock."""
    found = sorted(Path("/usr/lib").glob(f"**/{LIBFAKETIME}"))
    if not found:
        pytest.skip("there is no libfaketime here: apt-get install faketime")
    return found[0]


async def test_nobody_is_given_up_while_the_database_is_away_and_none_storms_it(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    shutil.copy(TASKS, tmp_path)
    with ExitStack() as stack:
        async with running_proxy(server.url()) as proxy, Client(server.url()) as client:
            settings = {"lease_ticks": LEASE, "processes": 2}
            workers = [stack.enter_context(running_worker(tmp_path, proxy.url, **settings)) for _ in range(2)]
            await until(lambda: all(len(worker.events("engine_started")) == 2 for worker in workers), within=60)
            over = await client.enqueue_many([NewJob("t.sleep", {"seconds": OUTAGE_SECONDS + 5})] * 4)
            during = await client.enqueue_many([NewJob("t.sleep", {"seconds": OUTAGE_SECONDS / 2})] * 4)
            await until(partial(are_running, client, 8), within=30)
            await asyncio.to_thread(server.stop, "immediate")
            accepted = proxy.accepted
            await asyncio.sleep(OUTAGE_SECONDS)
            a_second = (proxy.accepted - accepted) / OUTAGE_SECONDS
            await asyncio.to_thread(server.start)
            for job in (*over, *during):
                await client.wait(job, timeout=60)
            jobs = await client.database.fetch("select distinct status, attempt from esteira.job", patience=30)
            lost = await client.database.fetchval("select count(*) from esteira.worker where lost_at is not null")
    print(f"{OUTAGE_SECONDS} s away: {a_second:.1f} connections a second of two workers, {lost} given up")  # noqa: T201
    assert [tuple(row) for row in jobs] == [("completed", 1)]
    assert lost == 0
    assert not any(worker.events("worker_given_up") for worker in workers)
    # Six processes, each with a few loops that try again within seconds.
    assert a_second < 60


async def are_running(client: Client, number: int) -> bool:
    query = "select count(*) = $1 from esteira.job_live where status = 'running'"
    return bool(await client.database.fetchval(query, number))


async def test_a_worker_whose_clock_jumps_is_not_given_up_nor_gives_up_others(
    server: EmbeddedPostgres, tmp_path: Path, libfaketime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(TASKS, tmp_path)
    clock = tmp_path / "clock"
    clock.write_text("+0")
    with ExitStack() as stack:
        async with Client(server.url()) as client:
            other = stack.enter_context(running_worker(tmp_path, server.url(), lease_ticks=LEASE))
            with monkeypatch.context() as patch:
                patch.setenv("LD_PRELOAD", str(libfaketime))
                patch.setenv("FAKETIME_TIMESTAMP_FILE", str(clock))
                patch.setenv("FAKETIME_NO_CACHE", "1")
                patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                jumping = stack.enter_context(running_worker(tmp_path, server.url(), lease_ticks=LEASE))
            workers = [other, jumping]
            await until(lambda: all(worker.events("engine_started") for worker in workers), within=60)
            for hours in ("+1h", "-1h"):
                clock.write_text(hours)
                jobs = await client.enqueue_many([NewJob("t.sleep", {"seconds": LEASE + 3})] * 16)
                for job in jobs:
                    await client.wait(job, timeout=60)
            jumping.signal(signal.SIGTERM)
            jumping.wait()
            (stopping,) = jumping.events("worker_stopping")
            rows = await client.database.fetch("select distinct status, attempt from esteira.job")
            lost = await client.database.fetchval("select count(*) from esteira.worker where lost_at is not null")
    assert [tuple(row) for row in rows] == [("completed", 1)]
    assert lost == 0
    # It did believe that it was another time.
    assert datetime.now(UTC) - datetime.fromisoformat(stopping["timestamp"]) > timedelta(minutes=55)
