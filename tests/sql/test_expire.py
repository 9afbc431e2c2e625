"""A job that has not begun by its expires_at never does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = START + timedelta(minutes=1)


@pytest.fixture(autouse=True)
async def noon(queue: Any, other: Any, clock: Any) -> None:
    await clock.set(queue.connection, other.connection, when=START)


async def ended(queue: Any, job: Any) -> tuple[str, str | None]:
    row = await queue.job(job)
    return row["status"], row["reason"]


async def test_a_job_begins_before_its_expires_at_and_not_from_then_on(queue: Any, clock: Any) -> None:
    first, second = await queue.enqueue(expires_at=MINUTE), await queue.enqueue(expires_at=MINUTE)
    fresh = await queue.enqueue()
    await clock.advance(queue.connection, seconds=59.999999)
    assert [row["id"] for row in await queue.claim(1)] == [first]
    await clock.advance(queue.connection, seconds=0.000001)
    assert [row["id"] for row in await queue.claim()] == [fresh]
    assert await queue.call("expire") == 1
    assert await ended(queue, second) == ("cancelled", "expired")
    assert (await queue.job(second))["finished_at"] == MINUTE


async def test_an_expired_job_is_cancelled_by_the_tick_and_others_are_left(queue: Any, clock: Any) -> None:
    late = await queue.enqueue(expires_at=MINUTE, delay=timedelta(hours=1))
    waiting = await queue.enqueue(expires_at=MINUTE)
    await queue.connection.execute("update esteira.job_live set status = 'waiting' where id = $1", waiting)
    later, never = await queue.enqueue(expires_at=MINUTE + timedelta(seconds=1)), await queue.enqueue()
    await clock.advance(queue.connection, seconds=60)
    await queue.call("tick")
    assert await ended(queue, late) == await ended(queue, waiting) == ("cancelled", "expired")
    assert await ended(queue, later) == await ended(queue, never) == ("queued", None)


async def test_what_was_asked_for_too_late_never_begins(queue: Any) -> None:
    job = await queue.enqueue(expires_at=START)
    assert await queue.claim() == []
    assert await queue.call("expire") == 1
    assert await ended(queue, job) == ("cancelled", "expired")


@pytest.mark.parametrize("back", ["fail", "release", "snooze", "rescue"])
async def test_a_job_that_has_begun_does_not_expire_and_runs_again(queue: Any, clock: Any, back: str) -> None:
    await queue.register()
    job = await queue.running(expires_at=MINUTE)
    if back == "fail":
        await queue.fail(job)
    elif back == "release":
        await queue.call("release", [job], [1])
    elif back == "snooze":
        await queue.call("snooze", job, 1, timedelta(seconds=1))
    else:
        await queue.call("rescue", queue.worker)
    await clock.advance(queue.connection, seconds=3600)
    assert await queue.call("expire") == 0
    assert [row["attempt"] for row in await queue.claim()] == [2]


async def test_a_running_job_does_not_expire(queue: Any, clock: Any) -> None:
    job = await queue.running(expires_at=MINUTE)
    await clock.advance(queue.connection, seconds=61)
    assert await queue.call("expire") == 0
    assert await queue.complete(job) == [job]


async def test_an_expired_job_that_is_retried_has_no_expiry_any_more(queue: Any, clock: Any) -> None:
    job = await queue.enqueue(expires_at=START)
    await queue.call("expire")
    await queue.call("retry", job)
    assert (await queue.job(job))["expires_at"] is None
    await clock.advance(queue.connection, seconds=1)
    assert [row["id"] for row in await queue.claim()] == [job]


async def test_jobs_expire_a_batch_at_a_time_the_longest_expired_first(queue: Any, clock: Any) -> None:
    jobs = [await queue.enqueue(expires_at=START + timedelta(seconds=n)) for n in (3, 1, 2)]
    await clock.advance(queue.connection, seconds=3)
    assert await queue.call("expire", 2) == 2
    assert [(await queue.job(job))["status"] for job in jobs] == ["queued", "cancelled", "cancelled"]
    assert (await queue.call("expire", 2), await queue.call("expire", 2)) == (1, 0)


async def test_expiry_passes_over_a_job_that_is_being_claimed(queue: Any, other: Any, clock: Any) -> None:
    job = await queue.enqueue(expires_at=MINUTE)
    async with queue.connection.transaction():
        assert len(await queue.claim()) == 1
        await clock.advance(other.connection, seconds=60)
        await other.connection.execute("set lock_timeout = '2s'")
        assert await other.call("expire") == 0
    assert await other.call("expire") == 0
    assert await ended(queue, job) == ("running", None)


async def test_a_claim_passes_over_a_job_that_is_being_expired(queue: Any, other: Any, clock: Any) -> None:
    job = await queue.enqueue(expires_at=MINUTE)
    await clock.advance(other.connection, seconds=60)
    async with other.connection.transaction():
        assert await other.call("expire") == 1
        assert await queue.claim() == []
    assert await queue.claim() == []
    assert await ended(queue, job) == ("cancelled", "expired")


async def test_no_job_expires_after_the_year_2200(queue: Any) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="job_runs_from_1970_to_2200"):
        await queue.enqueue(expires_at=datetime(2201, 1, 2, tzinfo=UTC))
