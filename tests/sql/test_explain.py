from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def noon(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)


async def explain(queue: Any, job: UUID) -> tuple[str, str]:
    (row,) = await queue.connection.fetch("select * from esteira.explain($1)", job)
    return row["code"], row["detail"]


async def test_a_job_that_does_not_exist(queue: Any) -> None:
    assert (await explain(queue, UUID(int=1)))[0] == "not_found"


async def test_without_a_worker_on_its_queue_it_says_what_to_start(queue: Any) -> None:
    await queue.register(queues=["elsewhere"])
    code, detail = await explain(queue, await queue.enqueue(queue="mine"))
    assert code == "no_worker"
    assert "esteira worker --tasks MODULE --queues mine" in detail


async def test_a_silent_worker_serves_nothing(queue: Any, clock: Any) -> None:
    await queue.register()
    job = await queue.enqueue()
    await clock.advance(queue.connection, seconds=11)
    assert (await explain(queue, job))[0] == "no_worker"


async def test_a_task_that_no_worker_of_the_queue_knows_is_named(queue: Any) -> None:
    await queue.register(["known"])
    code, detail = await explain(queue, await queue.enqueue("unknown"))
    assert (code, '"unknown"' in detail) == ("task_unknown", True)


async def test_a_ready_job_counts_those_before_it(queue: Any) -> None:
    await queue.register()
    await queue.enqueue(priority="low")
    await queue.enqueue(priority="high")
    await queue.enqueue()
    job = await queue.enqueue()
    await queue.enqueue(delay=timedelta(hours=1), priority="critical")
    code, detail = await explain(queue, job)
    assert (code, "2 jobs stand before it" in detail) == ("ready", True)


async def test_busy_workers(queue: Any) -> None:
    await queue.register()
    await queue.enqueue_many(11)
    await queue.claim(10)
    code, detail = await explain(queue, await queue.enqueue())
    assert (code, "1 job stands before it" in detail) == ("workers_busy", True)


async def test_a_scheduled_job(queue: Any) -> None:
    code, detail = await explain(queue, await queue.enqueue(delay=timedelta(hours=1)))
    assert (code, "2030-01-01 01:00" in detail) == ("scheduled", True)


async def test_a_failed_job_that_waits_for_its_next_attempt(queue: Any) -> None:
    job = await queue.running(retry_first=timedelta(hours=1))
    await queue.fail(job)
    code, detail = await explain(queue, job)
    assert (code, "1 of 3: ValueError: no" in detail) == ("retrying", True)


async def test_a_running_job_says_where_and_how_far(queue: Any) -> None:
    await queue.register()
    job = await queue.running()
    await queue.call("progress", job, 1, 0.4, None, "load")
    code, detail = await explain(queue, job)
    assert code == "running"
    assert "on host (process 1, engine 0)" in detail
    assert "in step load, at 40 %" in detail


async def test_a_job_that_was_asked_to_stop(queue: Any) -> None:
    await queue.register()
    job = await queue.running()
    await queue.call("cancel", job)
    assert (await explain(queue, job))[0] == "cancelling"


async def test_a_running_job_of_a_silent_worker(queue: Any, clock: Any) -> None:
    await queue.register()
    job = await queue.running()
    await clock.advance(queue.connection, seconds=30)
    code, detail = await explain(queue, job)
    assert (code, "for 30 s" in detail) == ("worker_silent", True)


async def test_jobs_that_have_ended(queue: Any) -> None:
    done, dead, cancelled = await queue.enqueue_many(3)
    await queue.claim(2)
    await queue.complete(done)
    await queue.fail(dead, retryable=False)
    await queue.call("cancel", cancelled)
    assert (await explain(queue, done))[0] == "completed"
    assert (await explain(queue, cancelled))[0] == "cancelled"
    code, detail = await explain(queue, dead)
    assert code == "dead"
    assert f"select esteira.retry('{dead}')" in detail
    assert "ValueError: no" in detail


async def test_a_waiting_job(queue: Any) -> None:
    job = await queue.enqueue()
    await queue.connection.execute("update esteira.job_live set status = 'waiting'")
    assert (await explain(queue, job))[0] == "waiting"


async def test_a_job_of_a_paused_queue_or_task_says_which_and_since_when(queue: Any) -> None:
    await queue.register()
    job = await queue.enqueue()
    await queue.call("pause_task", "t")
    code, detail = await explain(queue, job)
    assert (code, 'The task "t" has been paused since 2030-01-01' in detail) == ("paused", True)
    await queue.call("pause", "default")
    assert 'The queue "default" has been paused' in (await explain(queue, job))[1]
    assert (await explain(queue, await queue.enqueue(delay=timedelta(hours=1))))[0] == "scheduled"


async def test_a_job_that_expired_before_and_after_it_was_cancelled(queue: Any, clock: Any) -> None:
    job = await queue.enqueue(expires_at=START + timedelta(minutes=1))
    await clock.advance(queue.connection, seconds=60)
    code, detail = await explain(queue, job)
    assert (code, "is about to be cancelled" in detail) == ("expired", True)
    await queue.call("expire")
    code, detail = await explain(queue, job)
    assert (code, "had not begun by 2030-01-01 00:01" in detail) == ("expired", True)


async def test_a_job_that_was_purged(queue: Any) -> None:
    job = await queue.enqueue()
    await queue.call("purge", "default")
    code, detail = await explain(queue, job)
    assert (code, "when its queue was purged" in detail) == ("cancelled", True)


async def test_a_running_job_of_a_draining_worker_is_running_and_a_queued_one_has_none(queue: Any) -> None:
    await queue.register()
    job = await queue.running()
    await queue.call("drain", queue.worker)
    assert (await explain(queue, job))[0] == "running"
    assert (await explain(queue, await queue.enqueue()))[0] == "no_worker"


async def beat(queue: Any, *standing: Any) -> None:
    await queue.connection.fetch("select * from esteira.heartbeat($1, $2, $3, $4)", queue.worker, *standing)


async def test_slots_that_are_all_held_by_handlers_that_do_not_stop(queue: Any) -> None:
    await queue.register()
    await beat(queue, 10, None, None)
    code, detail = await explain(queue, await queue.enqueue())
    assert code == "workers_held"
    assert "The worker that can run it can take no job; 0 jobs stand before it" in detail
    assert 'hold 10 of its 10 slots; executor="process" can be killed' in detail
    assert f"esteira drain {queue.worker}" in detail
    await beat(queue, 0, None, None)
    assert (await explain(queue, await queue.enqueue()))[0] == "ready"


async def test_slots_of_which_some_are_held_and_the_others_busy(queue: Any) -> None:
    await queue.register()
    await queue.enqueue_many(9)
    await queue.claim(9)
    job = await queue.enqueue()
    assert (await explain(queue, job))[0] == "ready"
    await beat(queue, 1, None, None)
    code, detail = await explain(queue, job)
    assert (code, "The worker that can run it is busy" in detail) == ("workers_busy", True)
    assert "hold 1 of its 10 slots" in detail


async def test_an_engine_that_stands_still_says_since_when(queue: Any) -> None:
    await queue.register()
    await queue.running()
    await beat(queue, 0, [0], timedelta(seconds=5))
    code, detail = await explain(queue, await queue.enqueue())
    assert (code, "Since 2029-12-31 23:59:55" in detail) == ("workers_held", True)
    assert "1 of its 1 engines has taken no job" in detail
    assert "asyncio.to_thread" in detail


async def test_only_what_its_workers_may_run_stands_before_a_job(queue: Any) -> None:
    await queue.register(["t", "halted"])
    await queue.call("pause_task", "halted")
    for task in ("misspelt", "halted", "t"):
        await queue.enqueue(task)
    code, detail = await explain(queue, await queue.enqueue())
    assert (code, "1 job stands before it" in detail) == ("ready", True)
