"""Every write by a worker names the attempt; one that is over writes nothing and is told so."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Write = Callable[[Any, Any, int], Awaitable[Any]]

THEN = datetime(2030, 1, 1, tzinfo=UTC)
WRITES: dict[str, Write] = {
    "complete": lambda queue, job, attempt: queue.complete(job, attempt=attempt),
    "fail": lambda queue, job, attempt: queue.fail(job, attempt),
    "fail_for_good": lambda queue, job, attempt: queue.fail(job, attempt, retryable=False),
    "save_step": lambda queue, job, attempt: queue.call("save_step", job, attempt, "late", "1", THEN),
    "progress": lambda queue, job, attempt: queue.call("progress", job, attempt, 0.9, "late", "late"),
    "snooze": lambda queue, job, attempt: queue.call("snooze", job, attempt, timedelta(hours=1)),
    "release": lambda queue, job, attempt: queue.call("release", [job], [attempt]),
    "acknowledge_cancel": lambda queue, job, attempt: queue.call("acknowledge_cancel", job, attempt),
    "hold": lambda queue, job, attempt: queue.call("hold", job, attempt),
}
EVERYTHING = """
select (select jsonb_agg(job order by id) from esteira.job), (select jsonb_agg(step) from esteira.step),
       (select jsonb_agg(activity) from esteira.activity), (select jsonb_agg(attempt) from esteira.attempt)"""


@pytest.fixture
def refused(queue: Any) -> Callable[..., Awaitable[None]]:
    """See that no write is taken at that attempt, and that none leaves a trace."""

    async def check(session: Any, job: Any, attempt: int) -> None:
        before = await queue.connection.fetchrow(EVERYTHING)
        for verb, write in WRITES.items():
            assert not await write(session, job, attempt), verb
            assert await queue.connection.fetchrow(EVERYTHING) == before, verb

    return check


async def test_an_attempt_that_another_follows_writes_nothing(queue: Any, refused: Any) -> None:
    job = await queue.running()
    await queue.call("release", [job], [1])
    await queue.claim()
    await refused(queue, job, 1)
    await refused(queue, job, 3)
    assert await queue.complete(job, attempt=2) == [job]


async def test_an_attempt_that_is_queued_again_writes_nothing(queue: Any, refused: Any) -> None:
    job = await queue.running()
    await queue.call("release", [job], [1])
    await refused(queue, job, 1)


async def test_an_attempt_that_has_ended_writes_nothing(queue: Any, refused: Any) -> None:
    job = await queue.running()
    await queue.complete(job)
    await refused(queue, job, 1)


async def test_the_attempt_that_holds_the_job_may_write(queue: Any) -> None:
    for verb, write in WRITES.items():
        job = await queue.running()
        assert await write(queue, job, 1), verb
        await queue.connection.execute("delete from esteira.job_live")


async def test_a_zombie_that_waited_for_the_next_claim_writes_nothing(queue: Any, other: Any, new_queue: Any) -> None:
    """Each write begins while its attempt still runs, and waits while that one is rescued and claimed by another."""
    for verb, write in WRITES.items():
        zombie = await new_queue("zombie")
        await zombie.register()
        job = await zombie.running()
        async with other.connection.transaction():
            assert await other.call("rescue", zombie.worker) == 1
            assert [row["attempt"] for row in await other.claim()] == [2]
            late = asyncio.create_task(write(zombie, job, 1))
            await other.until_blocked(zombie)
        before = await queue.connection.fetchrow(EVERYTHING)
        assert not await late, verb
        assert await queue.connection.fetchrow(EVERYTHING) == before, verb
        assert await other.complete(job, attempt=2) == [job]
