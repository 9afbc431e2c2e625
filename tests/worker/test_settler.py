from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from esteira.database import Database
from esteira_worker.endings import Cancelled, Completed, Failed, Lost, Released, Settled, Snoozed
from esteira_worker.settler import Settler
from tests.worker.conftest import Claim, Events, Flaky

FAILED = Failed('{"type": "E", "message": "m"}', None, retryable=True)


@pytest_asyncio.fixture
async def settler(flaky: Flaky) -> AsyncIterator[Settler]:
    settler = Settler(flaky)
    running = asyncio.create_task(settler.run())
    yield settler
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def job(database: Database, job_id: UUID) -> Any:
    return await database.fetchrow("select * from esteira.job where id = $1", job_id)


async def test_completions_are_stored_with_their_results(settler: Settler, claim: Claim, database: Database) -> None:
    jobs = await claim(2500)
    for number, claimed in enumerate(jobs):
        settler.put(claimed, Completed(str(number)))
    assert settler.holds() == {(claimed.id, 1) for claimed in jobs}
    await settler.drain()
    rows = await database.fetch("select (result #>> '{}')::int as n from esteira.job where status = 'completed'")
    assert sorted(row["n"] for row in rows) == list(range(2500))
    assert (settler.settled, settler.unsettled, settler.holds()) == (2500, 0, set())


async def test_one_result_that_postgres_refuses_holds_up_nobody(
    settler: Settler, claim: Claim, database: Database, events: Events
) -> None:
    jobs = await claim(50)
    for number, claimed in enumerate(jobs):
        settler.put(claimed, Completed("NaN" if number == 30 else "1"))
    await asyncio.wait_for(settler.drain(), 5)
    rows = await database.fetch("select id, result_error from esteira.job where status = 'completed'")
    assert len(rows) == 50
    assert [row["id"] for row in rows if row["result_error"]] == [jobs[30].id]
    assert not events("lease_lost")


@pytest.mark.parametrize("within", ["complete", "fail", "snooze", "acknowledge_cancel", "release"])
async def test_a_lost_reply_is_no_lost_lease(
    settler: Settler, claim: Claim, flaky: Flaky, events: Events, within: str
) -> None:
    endings = [Completed("1"), FAILED, Snoozed(timedelta(hours=1)), Cancelled(), Released()]
    flaky.losses, flaky.within = 2, f"esteira.{within}("
    for claimed, ending in zip(await claim(len(endings)), endings, strict=True):
        settler.put(claimed, ending)
    await asyncio.wait_for(settler.drain(), 10)
    assert flaky.losses == 0
    assert 1 <= len(events("database_away")) == len(events("database_back")) <= 2
    assert not events("lease_lost")


async def test_a_lease_that_was_really_lost_is_reported_and_nothing_is_written(
    settler: Settler, claim: Claim, database: Database, worker_id: UUID, events: Events
) -> None:
    endings = [Completed("1"), FAILED, Snoozed(timedelta(hours=1)), Cancelled(), Released(), Lost()]
    jobs = await claim(len(endings))
    assert await database.fetchval("select esteira.crash($1, 1, 'gone')", worker_id) == len(endings)
    for claimed, ending in zip(jobs, endings, strict=True):
        settler.put(claimed, ending)
    await settler.drain()
    assert {entry["job_id"] for entry in events("lease_lost")} == {str(claimed.id) for claimed in jobs}
    assert not events("job_failed")
    states = await database.fetch("select distinct status, failures, crashes from esteira.job_live")
    assert [tuple(state) for state in states] == [("queued", 0, 1)]


async def test_a_failure_goes_back_to_its_queue_and_wakes_the_claimer(
    flaky: Flaky, claim: Claim, database: Database
) -> None:
    woken = asyncio.Event()
    settler = Settler(flaky, woken.set)
    (claimed,) = await claim()
    settler.put(claimed, FAILED)
    await asyncio.wait_for(woken.wait(), 5)
    row = await job(database, claimed.id)
    assert (row["status"], row["failures"], json.loads(row["error"])["message"]) == ("queued", 1, "m")


async def test_a_snooze_beyond_the_end_of_time_is_a_failure(settler: Settler, claim: Claim, database: Database) -> None:
    (claimed,) = await claim()
    settler.put(claimed, Snoozed(timedelta.max))
    await settler.drain()
    row = await job(database, claimed.id)
    assert (row["status"], row["failures"], json.loads(row["error"])["type"]) == ("dead", 1, "InvalidInput")


async def test_two_attempts_of_one_job_may_be_unsettled_at_once(settler: Settler, claim: Claim, events: Events) -> None:
    (claimed,) = await claim()
    later = replace(claimed, attempt=2)
    settler.put(claimed, FAILED)
    settler.put(later, FAILED)
    assert settler.holds() == {(claimed.id, 1), (claimed.id, 2)}
    await settler.drain()
    assert [entry["attempt"] for entry in events("lease_lost")] == [2]
    assert settler.unsettled == 0


async def test_there_is_no_room_while_too_much_is_unsettled(
    flaky: Flaky, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esteira_worker.settler._FULL", 3)
    settler = Settler(flaky)
    for claimed in await claim(3):
        await settler.room()
        settler.put(claimed, Completed("1"))
    waiting = asyncio.create_task(settler.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    running = asyncio.create_task(settler.run())
    await asyncio.wait_for(waiting, 5)
    running.cancel()


async def test_large_results_go_in_batches_of_bounded_size(
    settler: Settler, claim: Claim, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr("esteira_worker.settler._BATCH_CHARACTERS", 10)
    for claimed in await claim(5):
        settler.put(claimed, Completed('"' + "x" * 20 + '"'))
    await settler.drain()
    assert await database.fetchval("select count(*) from esteira.job where status = 'completed'") == 5


async def test_what_its_own_transaction_completed_needs_no_write(flaky: Flaky, claim: Claim) -> None:
    settler = Settler(flaky)
    (claimed,) = await claim()
    settler.put(claimed, Settled())
    assert (settler.settled, settler.unsettled) == (1, 0)
