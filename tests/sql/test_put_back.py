"""Snooze and release: back to the queue, nothing charged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_snoozed_job_comes_back_after_its_delay_uncharged(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    job = await queue.running()
    assert await queue.call("snooze", job, 1, timedelta(minutes=5)) == "queued"
    row = await queue.job(job)
    assert (row["run_at"], row["ready_at"]) == (START + timedelta(minutes=5), START + timedelta(minutes=5))
    assert (row["failures"], row["attempt"], row["error"]) == (0, 1, None)
    assert await queue.attempts(job) == [(1, "snoozed")]


async def test_released_jobs_are_ready_again_at_once_and_uncharged(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    jobs = await queue.enqueue_many(3)
    await queue.claim()
    await clock.advance(queue.connection, seconds=10)
    assert await queue.call("release", jobs, [1, 1, 7]) == 2
    row = await queue.job(jobs[0])
    assert (row["status"], row["run_at"], row["ready_at"]) == ("queued", START, START + timedelta(seconds=10))
    assert (row["failures"], row["crashes"]) == (0, 0)
    assert await queue.attempts(jobs[0]) == [(1, "released")]
    assert (await queue.job(jobs[2]))["status"] == "running"


async def test_releasing_nothing_is_fine(queue: Any) -> None:
    assert await queue.call("release", [], []) == 0
