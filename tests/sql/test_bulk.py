"""cancel_many, retry_many, discard_many and purge: the same acts on many jobs at once."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4


async def cancel(queue: Any, *jobs: UUID) -> dict[UUID, str]:
    return {row["id"]: row["status"] for row in await queue.rows("cancel_many", jobs)}


async def six(queue: Any) -> dict[str, UUID]:
    """Make a job of each status."""
    names = ("completed", "dead", "cancelled", "running", "waiting", "queued")
    jobs = dict(zip(names, await queue.enqueue_many(6), strict=True))
    await queue.connection.execute("update esteira.job_live set status = 'waiting' where id = $1", jobs["waiting"])
    await queue.call("cancel", jobs["cancelled"])
    await queue.claim(3)
    await queue.complete(jobs["completed"])
    await queue.fail(jobs["dead"], retryable=False)
    return jobs


async def statuses(queue: Any, jobs: dict[str, UUID]) -> dict[str, str]:
    rows = await queue.connection.fetch("select id, status from esteira.job")
    found = {row["id"]: row["status"] for row in rows}
    return {was: found.get(job, "removed") for was, job in jobs.items()}


async def test_many_are_cancelled_at_once_or_asked_to_stop_and_the_ended_are_left(queue: Any) -> None:
    jobs = await six(queue)
    before = await statuses(queue, jobs)
    answer = await cancel(queue, *jobs.values(), uuid4(), jobs["queued"])
    assert answer == {jobs["queued"]: "cancelled", jobs["waiting"]: "cancelled", jobs["running"]: "running"}
    assert await statuses(queue, jobs) == {**before, "queued": "cancelled", "waiting": "cancelled"}
    assert (await queue.job(jobs["running"]))["cancel_requested_at"] is not None
    assert await queue.rows("cancel_many", []) == await queue.rows("cancel_many", [None]) == []


async def test_many_are_retried_and_the_others_are_left(queue: Any) -> None:
    jobs = await six(queue)
    before = await statuses(queue, jobs)
    rows = await queue.rows("retry_many", [*jobs.values(), uuid4(), jobs["dead"]])
    assert {(row["id"], row["queue"]) for row in rows} == {(jobs["dead"], "default"), (jobs["cancelled"], "default")}
    assert await statuses(queue, jobs) == {**before, "dead": "queued", "cancelled": "queued"}
    assert await queue.count("job") == 6


async def test_many_dead_are_discarded_with_their_steps_and_attempts_and_the_others_are_left(queue: Any) -> None:
    twin = await queue.running()
    jobs = await six(queue)
    for job in (jobs["running"], twin):
        assert await queue.connection.fetchval("select esteira.save_step($1, 1, 'load', '1', now())", job)
    await queue.fail(twin, retryable=False)
    before = await statuses(queue, jobs)
    gone = [row[0] for row in await queue.rows("discard_many", [*jobs.values(), twin, uuid4()])]
    assert sorted(gone) == sorted([jobs["dead"], twin])
    assert await statuses(queue, jobs) == {**before, "dead": "removed"}
    assert (await queue.count("attempt"), await queue.count("step")) == (0, 1)


async def test_a_single_discard_says_why_it_cannot(queue: Any, refused: Any) -> None:
    jobs = await six(queue)
    assert await queue.call("discard", jobs["dead"]) == jobs["dead"]
    with refused("ES001", "no job"):
        await queue.call("discard", jobs["dead"])
    with refused("ES002", "is running; only dead jobs can be discarded"):
        await queue.call("discard", jobs["running"])


async def test_many_cancels_behind_a_claim_ask_what_began_and_cancel_the_rest(queue: Any, other: Any) -> None:
    first, second = await queue.enqueue_many(2)
    async with queue.connection.transaction():
        assert [row["id"] for row in await queue.claim(1)] == [first]
        late = asyncio.create_task(cancel(other, first, second))
        await queue.until_blocked(other)
    assert await late == {first: "running", second: "cancelled"}


async def test_many_cancels_behind_a_release_cancel_what_came_back(queue: Any, other: Any) -> None:
    first, second = await queue.enqueue_many(2)
    await queue.claim(1)
    async with queue.connection.transaction():
        assert await queue.call("release", [first], [1]) == 1
        late = asyncio.create_task(cancel(other, first, second))
        await queue.until_blocked(other)
    answer = await late
    assert answer[second] == "cancelled"
    # Released jobs have a row that changed, not one that moved: it is asked or cancelled, and ends either way.
    assert (await queue.job(first))["status"] == "cancelled" == answer[first]


async def test_many_cancels_do_not_wait_for_a_completing_transaction_that_has_not_ended(queue: Any, other: Any) -> None:
    first, second = await queue.enqueue_many(2)
    await queue.claim(1)
    await other.connection.execute("set lock_timeout = '2s'")
    async with queue.connection.transaction():
        assert await queue.call("hold", first, 1)
        assert await cancel(other, first, second) == {first: "running", second: "cancelled"}


async def test_overlapping_cancels_in_opposite_orders_do_not_deadlock(queue: Any, other: Any, new_queue: Any) -> None:
    jobs = await queue.enqueue_many(3)
    holder = await new_queue()
    async with holder.connection.transaction():
        await holder.connection.execute("select from esteira.job_live for update")
        one = asyncio.create_task(cancel(queue, *jobs))
        await holder.until_blocked(queue)
        two = asyncio.create_task(cancel(other, *reversed(jobs)))
        await holder.until_blocked(other)
    answers = await one | await two
    assert answers == dict.fromkeys(jobs, "cancelled")


async def test_overlapping_retries_and_discards_in_opposite_orders_lose_nothing(
    queue: Any, other: Any, new_queue: Any
) -> None:
    jobs = await queue.enqueue_many(3)
    await queue.claim()
    for job in jobs:
        await queue.fail(job, retryable=False)
    holder = await new_queue()
    async with holder.connection.transaction():
        await holder.connection.execute("select from esteira.job_dead for update")
        retry = asyncio.create_task(queue.rows("retry_many", jobs))
        await holder.until_blocked(queue)
        discard = asyncio.create_task(other.rows("discard_many", jobs[::-1]))
        await holder.until_blocked(other)
    retried, discarded = {row[0] for row in await retry}, {row[0] for row in await discard}
    assert retried | discarded == set(jobs)
    assert retried & discarded == set()
    assert await queue.count("job_live") == len(retried)
    assert await queue.count("job") == len(retried)


async def test_a_queue_is_purged_in_batches_and_what_runs_stays(queue: Any) -> None:
    elsewhere = await queue.enqueue(queue="other")
    running, waiting, *_ = await queue.enqueue_many(6)
    await queue.claim(1)
    await queue.connection.execute("update esteira.job_live set status = 'waiting' where id = $1", waiting)
    assert [await queue.call("purge", "default", 2) for _ in range(4)] == [2, 2, 1, 0]
    assert (await queue.job(waiting))["reason"] == "purged"
    assert (await queue.job(running))["status"] == "running"
    assert (await queue.job(running))["cancel_requested_at"] is None
    assert (await queue.job(elsewhere))["status"] == "queued"
    assert await queue.call("purge", "nowhere") == 0


async def test_a_purge_passes_over_a_job_that_is_being_claimed(queue: Any, other: Any) -> None:
    first, second = await queue.enqueue_many(2)
    await other.connection.execute("set lock_timeout = '2s'")
    async with queue.connection.transaction():
        await queue.claim(1)
        assert await other.call("purge", "default") == 1
    assert ((await queue.job(first))["status"], (await queue.job(second))["reason"]) == ("running", "purged")


async def test_a_purged_job_can_be_retried(queue: Any) -> None:
    job = await queue.enqueue()
    await queue.call("purge", "default")
    assert await queue.call("retry", job) == job
