from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_completed_job_has_its_result_its_end_and_what_was_noted_while_it_ran(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    job = await queue.running()
    await queue.call("progress", job, 1, 0.25, "quarter", "load")
    await clock.advance(queue.connection, seconds=60)
    assert await queue.complete(job, result={"pages": 3}) == [job]
    row = await queue.job(job)
    assert (row["status"], row["progress"], row["progress_message"], row["current_step"]) == (
        "completed",
        1,
        "quarter",
        "load",
    )
    assert (json.loads(row["result"]), row["error"], row["result_error"]) == ({"pages": 3}, None, None)
    assert (row["finished_at"], row["run_time"]) == (START + timedelta(seconds=60), timedelta(seconds=60))
    assert (await queue.count("activity"), await queue.count("job_live")) == (0, 0)


async def test_each_job_of_a_batch_gets_its_own_result(queue: Any) -> None:
    jobs = await queue.enqueue_many(50)
    await queue.claim()
    shuffled = jobs[::2] + jobs[1::2]
    results = [json.dumps(str(job)) for job in shuffled]
    done = await queue.connection.fetch("select esteira.complete($1, $2, $3)", shuffled, [1] * 50, results)
    assert {row[0] for row in done} == set(jobs)
    assert await queue.count("job where result #>> '{}' = id::text") == 50


async def test_jobs_without_results_have_the_null_of_json(queue: Any) -> None:
    jobs = await queue.enqueue_many(2)
    await queue.claim()
    done = await queue.connection.fetch("select esteira.complete($1, $2, null, '{null,why}')", jobs, [1, 1])
    assert {row[0] for row in done} == set(jobs)
    assert [(await queue.job(job))["result"] for job in jobs] == ["null", "null"]
    assert [(await queue.job(job))["result_error"] for job in jobs] == [None, "why"]


async def test_the_reason_why_a_result_could_not_be_stored_is_kept(queue: Any) -> None:
    job = await queue.running()
    await queue.connection.execute("select esteira.complete($1, '{1}', array[null]::jsonb[], '{holds a NUL}')", [job])
    row = await queue.job(job)
    assert (row["status"], row["result"], row["result_error"]) == ("completed", None, "holds a NUL")


async def test_a_retried_job_that_completes_has_no_error_any_more(queue: Any) -> None:
    job = await queue.running(retry_max=timedelta(0))
    assert await queue.fail(job) == "queued"
    await queue.claim()
    await queue.complete(job, attempt=2)
    assert (await queue.job(job))["error"] is None


async def test_lost_leases_are_missing_from_the_answer_and_the_rest_is_completed(queue: Any) -> None:
    jobs = await queue.enqueue_many(3)
    await queue.claim()
    await queue.call("release", [jobs[1]], [1])
    assert set(await queue.complete(*jobs)) == {jobs[0], jobs[2]}
    assert await queue.complete(*jobs) == []
    assert (await queue.job(jobs[1]))["status"] == "queued"


async def test_a_job_named_twice_in_a_batch_completes_once_by_its_highest_attempt(queue: Any) -> None:
    job = await queue.running()
    await queue.call("release", [job], [1])
    await queue.claim()
    done = await queue.connection.fetch(
        "select esteira.complete($1, '{1,2}', array['\"old\"', '\"new\"']::jsonb[])", [job, job]
    )
    assert [row[0] for row in done] == [job]
    assert (await queue.job(job))["result"] == '"new"'


async def test_a_settle_that_waits_for_a_progress_write_is_no_lost_lease(queue: Any, other: Any) -> None:
    job = await queue.running()
    async with other.connection.transaction():
        assert await other.call("progress", job, 1, 0.5, "half", None)
        settle = asyncio.create_task(queue.complete(job))
        await other.until_blocked(queue)
    assert await settle == [job]
    assert (await queue.job(job))["progress_message"] == "half"


async def test_a_settle_that_waits_for_a_cancel_request_is_no_lost_lease(queue: Any, other: Any) -> None:
    job = await queue.running()
    async with other.connection.transaction():
        assert await other.call("cancel", job) == "running"
        settle = asyncio.create_task(queue.complete(job))
        await other.until_blocked(queue)
    assert await settle == [job]
    assert (await queue.job(job))["status"] == "completed"


async def test_a_settle_that_waits_for_a_saved_step_is_no_lost_lease(queue: Any, other: Any) -> None:
    job = await queue.running()
    async with other.connection.transaction():
        assert await other.call("save_step", job, 1, "load", "1", START)
        settle = asyncio.create_task(queue.complete(job))
        await other.until_blocked(queue)
    assert await settle == [job]


async def test_a_settle_waits_for_an_open_completing_transaction_and_finds_the_job_when_that_rolls_back(
    queue: Any, other: Any
) -> None:
    jobs = await queue.enqueue_many(3)
    await queue.claim()
    handler = other.connection.transaction()
    await handler.start()
    assert await other.call("hold", jobs[1], 1)
    assert await other.complete(jobs[1]) == [jobs[1]]
    settle = asyncio.create_task(queue.complete(*jobs))
    await other.until_blocked(queue)
    await handler.rollback()
    assert set(await settle) == set(jobs)


async def test_a_settle_behind_a_completing_transaction_that_commits_completes_nothing_twice(
    queue: Any, other: Any
) -> None:
    jobs = await queue.enqueue_many(3)
    await queue.claim()
    async with other.connection.transaction():
        assert await other.call("hold", jobs[1], 1)
        assert await other.complete(jobs[1], result="handler") == [jobs[1]]
        settle = asyncio.create_task(queue.complete(*jobs))
        await other.until_blocked(queue)
    assert set(await settle) == {jobs[0], jobs[2]}
    assert (await queue.job(jobs[1]))["result"] == '"handler"'


async def test_progress_and_cancel_do_not_wait_for_an_open_completing_transaction(queue: Any, other: Any) -> None:
    job = await queue.running()
    await other.connection.execute("set lock_timeout = '2s'")
    async with queue.connection.transaction():
        assert await queue.call("hold", job, 1)
        assert await other.call("progress", job, 1, 0.5, None, None)
        assert await other.call("cancel", job) == "running"
        assert await queue.complete(job) == [job]


async def test_overlapping_batches_in_opposite_orders_do_not_deadlock(queue: Any, other: Any, new_queue: Any) -> None:
    first, second = await queue.enqueue_many(2)
    await queue.claim()
    holder = await new_queue()
    async with holder.connection.transaction():
        await holder.connection.execute("select from esteira.job_live for update")
        one = asyncio.create_task(queue.complete(first, second))
        await holder.until_blocked(queue)
        two = asyncio.create_task(other.complete(second, first))
        await holder.until_blocked(other)
    assert sorted(await one + await two) == sorted([first, second])


async def test_rolling_back_takes_the_completion_back(queue: Any) -> None:
    job = await queue.running()
    transaction = queue.connection.transaction()
    await transaction.start()
    assert await queue.complete(job) == [job]
    await transaction.rollback()
    assert (await queue.job(job))["status"] == "running"
    assert await queue.complete(job) == [job]
