from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from unittest.mock import Mock
from uuid import UUID

import pytest
import pytest_asyncio

from esteira import App
from esteira.database import Database
from esteira.running import Claimed
from esteira.settings import Settings
from esteira_worker.engine import Engine
from tests.worker.conftest import Claim, Enqueue, Events, until

app = App("t")


@app.task()
async def noop() -> None: ...


@app.task()
async def wait() -> None:
    await asyncio.Event().wait()


class Bench:
    """An engine of one slot that runs, and the order to stop it."""

    def __init__(self, url: str, worker_id: UUID) -> None:
        self.worker_id = worker_id
        self.engine = Engine(Settings(database_url=url, slots=1), worker_id, 1, app.tasks, Mock())
        self._stopping = asyncio.Event()
        self._running = asyncio.create_task(self.engine.run(self._stopping, 0.1))

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.wait_for(self._running, 10)


@pytest_asyncio.fixture
async def bench(database_url: str, worker_id: UUID) -> AsyncIterator[Bench]:
    bench = Bench(database_url, worker_id)
    yield bench
    await bench.stop()


async def outcomes(database: Database, job_ids: list[UUID]) -> set[tuple[str, int, str | None]]:
    rows = await database.fetch(
        "select status, failures, outcome from esteira.job left join esteira.attempt on job_id = id where id = any($1)",
        job_ids,
    )
    return {(row["status"], row["failures"], row["outcome"]) for row in rows}


async def settled(bench: Bench) -> None:
    await asyncio.wait_for(bench.engine._settler.drain(), 5)


async def busy(bench: Bench) -> None:
    await until(lambda: bench.engine._slots[0].job)


async def test_an_engine_that_stops_gives_everything_back_uncharged(
    bench: Bench, enqueue: Enqueue, claim: Claim, database: Database, events: Events
) -> None:
    running = await enqueue("t.wait", queue="slow")
    await busy(bench)
    buffered = await claim(3)
    bench.engine._buffer.put(buffered)
    await bench.stop()
    assert await outcomes(database, running + [job.id for job in buffered]) == {("queued", 0, "released")}
    assert not events("lease_lost")


async def test_jobs_that_wait_behind_a_slow_one_are_given_to_others(
    bench: Bench, enqueue: Enqueue, claim: Claim, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esteira_worker.engine._STALE_SECONDS", 0.1)
    await enqueue("t.wait", queue="slow")
    await busy(bench)
    buffered = await claim(3)
    bench.engine._buffer.put(buffered)
    released = {("queued", 0, "released")}

    async def all_released() -> bool:
        return await outcomes(database, [job.id for job in buffered]) == released

    await until(all_released)


async def test_a_cancelled_job_that_has_not_begun_ends_as_cancelled(
    bench: Bench, enqueue: Enqueue, claim: Claim, database: Database
) -> None:
    await enqueue("t.wait", queue="slow")
    await busy(bench)
    (job,) = await claim()
    bench.engine._buffer.put([job])
    await database.fetch("select esteira.cancel($1)", job.id)
    bench.engine.cancel({job.id})
    await settled(bench)
    assert await outcomes(database, [job.id]) == {("cancelled", 0, "released")}


async def test_handlers_cannot_take_the_engines_own_connections(bench: Bench) -> None:
    executor = bench.engine._executors["async"]
    assert executor._database is not bench.engine._database  # type: ignore[attr-defined]


async def test_a_suspect_runs_alone_after_the_others_have_finished(
    bench: Bench, enqueue: Enqueue, database: Database, events: Events
) -> None:
    ids = await enqueue("t.not_yet", n=2)
    await database.fetch("update esteira.job_live set task = 't.noop', attempt = 2, crashes = 2")
    ids += await enqueue()

    async def all_completed() -> bool:
        return {status for status, _, _ in await outcomes(database, ids)} == {"completed"}

    await until(all_completed)
    assert {entry["job_id"] for entry in events("job_runs_alone")} == {str(job_id) for job_id in ids[:2]}


async def suspected(bench: Bench, enqueue: Enqueue, database: Database) -> UUID:
    """Make a job that the engine has claimed as a suspect and not begun."""
    (job_id,) = await enqueue("t.not_yet")
    await database.fetch(
        "update esteira.job_live set status = 'running', started_at = now(), attempt = 3, crashes = 2,"
        " worker_id = $2, engine = 1 where id = $1",
        job_id,
        bench.worker_id,
    )
    bench.engine.claimer.suspect = Claimed(job_id, 3, "default", "t.not_yet", "{}", 0, 2, None)
    return job_id


async def test_a_suspect_goes_back_for_a_while_where_others_run_on(
    bench: Bench, enqueue: Enqueue, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esteira_worker.engine._SUSPECT_WAIT_SECONDS", 0.05)
    await enqueue("t.wait")
    await busy(bench)
    job_id = await suspected(bench, enqueue, database)
    await bench.engine._run_suspect()
    await settled(bench)
    assert await outcomes(database, [job_id]) == {("queued", 0, "snoozed")}
    assert await database.fetchval("select run_at > now() + '50 s' from esteira.job_live where id = $1", job_id)


async def test_a_cancel_reaches_a_suspect_that_waits(bench: Bench, enqueue: Enqueue, database: Database) -> None:
    await enqueue("t.wait")
    await busy(bench)
    job_id = await suspected(bench, enqueue, database)
    bench.engine.cancel({job_id})
    await settled(bench)
    assert await outcomes(database, [job_id]) == {("cancelled", 0, "cancelled")}
