from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest


async def test_a_dead_job_gets_another_life_with_its_finished_steps_and_a_rising_attempt(queue: Any) -> None:
    job = await queue.running()
    await queue.connection.execute("select esteira.save_step($1, 1, 'load', '1', now(), 0.5)", job)
    await queue.fail(job, retryable=False)
    assert await queue.call("retry", job) == job
    row = await queue.job(job)
    assert (row["status"], row["reason"], row["finished_at"]) == ("queued", None, None)
    assert (row["generation"], row["failures"], row["crashes"], row["attempt"]) == (2, 0, 0, 1)
    assert (row["progress"], row["current_step"], await queue.count("step")) == (0.5, "load", 1)
    assert [claimed["attempt"] for claimed in await queue.claim()] == [2]


@pytest.mark.parametrize("note", ["progress", "save_step", "cancel"])
async def test_how_far_an_earlier_life_came_is_shown_until_this_one_says_how_far_it_is(queue: Any, note: str) -> None:
    job = await queue.running()
    await queue.call("progress", job, 1, 0.5)
    await queue.fail(job, retryable=False)
    await queue.call("retry", job)
    await queue.claim()
    if note == "progress":
        await queue.call("progress", job, 2, None, "begins anew")
    elif note == "save_step":
        await queue.connection.execute("select esteira.save_step($1, 2, 'load', '1', now())", job)
    else:
        await queue.call("cancel", job)
    assert (await queue.job(job))["progress"] == 0.5


async def test_a_cancelled_job_can_be_retried_and_is_not_asked_to_stop_again(queue: Any) -> None:
    job = await queue.running()
    await queue.call("cancel", job)
    await queue.call("acknowledge_cancel", job, 1)
    await queue.call("retry", job)
    await queue.claim()
    assert (await queue.job(job))["cancel_requested_at"] is None
    assert await queue.complete(job, attempt=2) == [job]


async def test_jobs_that_live_or_completed_cannot_be_retried(queue: Any) -> None:
    done, running, queued = await queue.enqueue_many(3)
    await queue.claim(2)
    await queue.complete(done)
    for job, status in ((done, "completed"), (running, "running"), (queued, "queued")):
        with pytest.raises(asyncpg.PostgresError, match=f"is {status}; only dead and cancelled") as refused:
            await queue.call("retry", job)
        assert refused.value.sqlstate == "ES002"


async def test_an_unknown_job_cannot_be_retried(queue: Any) -> None:
    with pytest.raises(asyncpg.PostgresError, match="no job") as refused:
        await queue.call("retry", uuid4())
    assert refused.value.sqlstate == "ES001"


async def test_of_two_retries_at_once_one_wins_and_the_other_sees_the_queued_job(queue: Any, other: Any) -> None:
    job = await queue.running()
    await queue.fail(job, retryable=False)
    async with queue.connection.transaction():
        await queue.call("retry", job)
        second = asyncio.create_task(other.call("retry", job))
        await queue.until_blocked(other)
    with pytest.raises(asyncpg.PostgresError, match="is queued"):
        await second
    assert await queue.count("job") == 1
