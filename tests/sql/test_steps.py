"""save_step and progress: what a running job writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

THEN = datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_step_is_stored_with_the_progress_it_makes(queue: Any) -> None:
    job = await queue.running()
    assert await queue.call("save_step", job, 1, "load", '{"rows": 3}', THEN, 0.25)
    step = await queue.connection.fetchrow("select * from esteira.step")
    assert (step["job_id"], step["name"], step["attempt"], step["result"]) == (job, "load", 1, '{"rows": 3}')
    assert step["started_at"] == THEN
    row = await queue.job(job)
    assert (row["progress"], row["current_step"]) == (0.25, "load")


async def test_a_step_without_a_share_leaves_the_progress_as_it_was(queue: Any) -> None:
    job = await queue.running()
    await queue.call("progress", job, 1, 0.5, "half", None)
    await queue.call("save_step", job, 1, "load", "1", THEN)
    row = await queue.job(job)
    assert (row["progress"], row["progress_message"], row["current_step"]) == (0.5, "half", "load")


async def test_the_same_attempt_may_save_a_step_again_when_the_reply_was_lost(queue: Any) -> None:
    job = await queue.running()
    assert await queue.call("save_step", job, 1, "load", "1", THEN)
    assert await queue.call("save_step", job, 1, "load", "2", THEN)
    assert [row["result"] for row in await queue.connection.fetch("select result from esteira.step")] == ["2"]


async def test_a_step_that_an_earlier_attempt_finished_stays(queue: Any) -> None:
    job = await queue.running()
    await queue.call("save_step", job, 1, "load", "1", THEN)
    await queue.call("release", [job], [1])
    await queue.claim()
    assert not await queue.call("save_step", job, 2, "load", "2", THEN)
    assert await queue.connection.fetchval("select result from esteira.step") == "1"


async def test_what_a_progress_does_not_say_stays_as_it_was(queue: Any) -> None:
    job = await queue.running()
    assert await queue.call("progress", job, 1, 0.1, "started", "load")
    assert await queue.call("progress", job, 1, 0.2, None, None)
    assert await queue.call("progress", job, 1, None, "more", None)
    row = await queue.job(job)
    assert (round(row["progress"], 3), row["progress_message"], row["current_step"]) == (0.2, "more", "load")


async def test_progress_is_a_share(queue: Any) -> None:
    job = await queue.running()
    for share in (-0.01, 1.01, float("nan")):
        with pytest.raises(asyncpg.CheckViolationError, match="progress_is_a_share"):
            await queue.call("progress", job, 1, share)


async def test_progress_writes_neither_the_job_nor_its_payload(queue: Any) -> None:
    job = await queue.running()
    before = await queue.connection.fetchval("select ctid from esteira.job_live")
    await queue.call("progress", job, 1, 0.5, None, None)
    assert await queue.connection.fetchval("select ctid from esteira.job_live") == before
