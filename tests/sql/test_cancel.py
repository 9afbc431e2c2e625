from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest


async def test_a_queued_job_is_cancelled_at_once(queue: Any) -> None:
    job = await queue.enqueue(delay=timedelta(days=1))
    assert await queue.call("cancel", job) == "cancelled"
    row = await queue.job(job)
    assert (row["status"], row["reason"], row["finished_at"] is not None) == ("cancelled", "cancelled", True)
    assert await queue.claim() == []


async def test_a_waiting_job_is_cancelled_at_once(queue: Any) -> None:
    job = await queue.enqueue()
    await queue.connection.execute("update esteira.job_live set status = 'waiting'")
    assert await queue.call("cancel", job) == "cancelled"


async def test_a_running_job_is_asked_to_stop_and_its_worker_hears_of_it(queue: Any) -> None:
    await queue.register()
    job = await queue.running()
    assert await queue.call("cancel", job) == "running"
    first = (await queue.job(job))["cancel_requested_at"]
    assert await queue.call("cancel", job) == "running"
    assert (await queue.job(job))["cancel_requested_at"] == first
    (beat,) = await queue.connection.fetch("select * from esteira.heartbeat($1)", queue.worker)
    assert beat["cancel_ids"] == [job]
    assert await queue.call("acknowledge_cancel", job, 1) == "cancelled"
    assert (await queue.job(job))["status"] == "cancelled"
    assert await queue.attempts(job) == [(1, "cancelled")]


async def test_a_request_made_before_the_first_progress_survives_it(queue: Any) -> None:
    job = await queue.running()
    await queue.call("cancel", job)
    await queue.call("progress", job, 1, 0.5, None, None)
    row = await queue.job(job)
    assert (row["progress"], row["cancel_requested_at"] is not None) == (0.5, True)


@pytest.mark.parametrize("put_back", ["release", "snooze"])
async def test_a_job_that_was_asked_to_stop_never_goes_back_to_its_queue(queue: Any, put_back: str) -> None:
    job = await queue.running()
    await queue.call("cancel", job)
    if put_back == "release":
        await queue.call("release", [job], [1])
    else:
        assert await queue.call("snooze", job, 1, timedelta(0)) == "cancelled"
    assert (await queue.job(job))["status"] == "cancelled"


async def test_an_unknown_job_cannot_be_cancelled(queue: Any) -> None:
    with pytest.raises(asyncpg.PostgresError, match="no job") as refused:
        await queue.call("cancel", uuid4())
    assert refused.value.sqlstate == "ES001"


async def test_a_job_that_has_ended_cannot_be_cancelled_and_says_how_it_ended(queue: Any) -> None:
    done, dead, cancelled = await queue.enqueue_many(3)
    await queue.claim(2)
    await queue.complete(done)
    await queue.fail(dead, retryable=False)
    await queue.call("cancel", cancelled)
    for job, status in ((done, "completed"), (dead, "dead"), (cancelled, "cancelled")):
        with pytest.raises(asyncpg.PostgresError, match=f"is {status}") as refused:
            await queue.call("cancel", job)
        assert refused.value.sqlstate == "ES002"


async def test_a_cancel_behind_a_settle_that_commits_came_too_late(queue: Any, other: Any) -> None:
    job = await queue.running()
    async with queue.connection.transaction():
        await queue.complete(job)
        cancel = asyncio.create_task(other.call("cancel", job))
        await queue.until_blocked(other)
    with pytest.raises(asyncpg.PostgresError, match="is completed"):
        await cancel


async def test_a_cancel_behind_a_settle_that_rolls_back_asks_the_running_job(queue: Any, other: Any) -> None:
    job = await queue.running()
    transaction = queue.connection.transaction()
    await transaction.start()
    await queue.complete(job)
    cancel = asyncio.create_task(other.call("cancel", job))
    await queue.until_blocked(other)
    await transaction.rollback()
    assert await cancel == "running"


async def test_a_cancel_behind_the_claim_of_the_job_asks_instead_of_cancelling(queue: Any, other: Any) -> None:
    job = await queue.enqueue()
    async with queue.connection.transaction():
        assert len(await queue.claim()) == 1
        cancel = asyncio.create_task(other.call("cancel", job))
        await queue.until_blocked(other)
    assert await cancel == "running"


async def test_a_claim_passes_over_a_job_that_is_being_cancelled(queue: Any, other: Any) -> None:
    job = await queue.enqueue()
    async with other.connection.transaction():
        assert await other.call("cancel", job) == "cancelled"
        assert await queue.claim() == []
    assert await queue.claim() == []


async def test_a_cancel_behind_a_failure_that_puts_the_job_back_cancels_it(queue: Any, other: Any) -> None:
    job = await queue.running()
    async with queue.connection.transaction():
        assert await queue.fail(job) == "queued"
        cancel = asyncio.create_task(other.call("cancel", job))
        await queue.until_blocked(other)
    assert await cancel == "cancelled"
