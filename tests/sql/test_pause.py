"""pause, resume, pause_task, resume_task: nothing new begins, what runs goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)
ANY_FLOOR = ("2000-01-01T00:00:00Z", UUID(int=0))


async def test_from_its_commit_on_nothing_of_a_paused_queue_is_claimed_whatever_the_floor(
    queue: Any, other: Any
) -> None:
    await queue.enqueue()
    elsewhere = await queue.enqueue(queue="other")
    lanes = [("default", 1), ("other", 1)]
    async with other.connection.transaction():
        await other.call("pause", "default")
        assert len(await queue.claim(1, lanes=lanes)) == 1, "not committed yet"
        await queue.enqueue()
    assert [row["id"] for row in await queue.claim(lanes=lanes)] == [elsewhere]
    assert await queue.claim(floor=ANY_FLOOR) == []


async def test_what_runs_in_a_paused_queue_goes_on(queue: Any) -> None:
    done, failed = await queue.enqueue_many(2)
    await queue.claim()
    await queue.call("pause", "default")
    assert await queue.call("progress", done, 1, 0.5, None, None)
    assert await queue.complete(done) == [done]
    assert await queue.fail(failed) == "queued"


async def test_resuming_wakes_the_workers_and_gives_the_jobs_back(queue: Any, other: Any) -> None:
    job = await queue.enqueue()
    await queue.call("pause", "default")
    heard: list[str] = []
    await other.connection.add_listener("esteira", lambda *arguments: heard.append(arguments[-1]))
    assert await queue.call("resume", "default") is True
    assert await queue.call("resume", "default") is False
    assert await queue.call("resume", "nowhere") is False
    await other.connection.fetchval("select 1")
    assert heard == ["*"]
    await other.connection.reset(timeout=5)
    assert [row["id"] for row in await queue.claim()] == [job]


async def test_a_pause_tells_since_when_and_is_not_renewed(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    assert await queue.call("pause", "q") == START
    await clock.advance(queue.connection, seconds=60)
    assert await queue.call("pause", "q") == START
    assert await queue.connection.fetchval("select paused_at from esteira.queue_stats where queue = 'q'") == START


async def test_a_queue_can_be_paused_before_its_first_job_but_not_by_a_name_too_long_for_one(queue: Any) -> None:
    await queue.call("pause", "later")
    await queue.enqueue(queue="later")
    assert await queue.claim(lanes=[("later", 1)]) == []
    with pytest.raises(asyncpg.CheckViolationError, match="queue_name_is_short"):
        await queue.call("pause", "q" * 101)


async def test_a_worker_that_declares_it_anew_does_not_end_a_pause(queue: Any, other: Any) -> None:
    await queue.register()
    await queue.call("pause", "default")
    await queue.call("pause_task", "t")
    await other.register(version=2)
    await queue.enqueue()
    await queue.call("tick")
    await queue.call("resume", "default")
    assert await queue.claim() == []
    await queue.call("resume_task", "t")
    assert len(await queue.claim()) == 1


async def test_a_paused_task_is_passed_over_in_every_queue_and_the_others_are_claimed(queue: Any) -> None:
    await queue.register(["a", "b"])
    await queue.enqueue("a")
    await queue.enqueue("a", queue="q")
    job = await queue.enqueue("b")
    lanes = [("default", 1), ("q", 1)]
    await queue.call("pause_task", "a")
    for floor in (ANY_FLOOR, ("-infinity", UUID(int=0))):
        claimed = await queue.claim(tasks=["a", "b"], lanes=lanes, floor=floor)
        assert [row["id"] for row in claimed] in ([job], [])
        assert await queue.claim(tasks=["a"], lanes=lanes, floor=floor) == []
    assert (await queue.job(job))["status"] == "running"
    assert await queue.call("resume_task", "a") is True
    assert len(await queue.claim(tasks=["a", "b"], lanes=lanes)) == 2


async def test_a_task_tells_since_when_it_is_paused_and_wakes_the_workers_when_resumed(
    queue: Any, other: Any, clock: Any
) -> None:
    await clock.set(queue.connection, when=START)
    await queue.register()
    assert await queue.call("pause_task", "t") == START
    await clock.advance(queue.connection, seconds=60)
    assert await queue.call("pause_task", "t") == START
    assert await queue.connection.fetchval("select paused_at from esteira.task_stats") == START
    heard: list[str] = []
    await other.connection.add_listener("esteira", lambda *arguments: heard.append(arguments[-1]))
    assert await queue.call("resume_task", "t") is True
    assert await queue.call("resume_task", "t") is False
    await other.connection.fetchval("select 1")
    assert heard == ["*"]
    await other.connection.reset(timeout=5)


@pytest.mark.parametrize("verb", ["pause_task", "resume_task"])
async def test_a_task_that_nobody_declared_cannot_be_paused(queue: Any, refused: Any, verb: str) -> None:
    with refused("ES009", 'no worker has declared the task "nothing"'):
        await queue.call(verb, "nothing")
