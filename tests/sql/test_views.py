from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def noon(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)


async def ids(queue: Any, view: str) -> list[Any]:
    return [row["id"] for row in await queue.connection.fetch(f"select id from esteira.{view}")]


async def test_jobs_tell_age_wait_and_run_time(queue: Any, clock: Any) -> None:
    job = await queue.enqueue()
    await clock.advance(queue.connection, seconds=10)
    row = await queue.job(job)
    assert (row["age"], row["wait"], row["run_time"]) == (timedelta(seconds=10), timedelta(seconds=10), None)
    await queue.claim()
    await clock.advance(queue.connection, seconds=5)
    row = await queue.job(job)
    assert (row["age"], row["wait"], row["run_time"]) == tuple(timedelta(seconds=s) for s in (15, 10, 5))
    await queue.complete(job)
    await clock.advance(queue.connection, seconds=60)
    row = await queue.job(job)
    assert (row["wait"], row["run_time"]) == (timedelta(seconds=10), timedelta(seconds=5))


async def test_running_jobs_begin_with_the_longest_running(queue: Any, clock: Any) -> None:
    older = await queue.running()
    await clock.advance(queue.connection, seconds=1)
    newer = await queue.running()
    await queue.enqueue()
    assert await ids(queue, "running_jobs") == [older, newer]


async def test_the_dead_letter_begins_with_the_latest(queue: Any, clock: Any) -> None:
    first, second, _ = await queue.enqueue_many(3)
    await queue.claim(2)
    await queue.fail(first, retryable=False)
    await clock.advance(queue.connection, seconds=1)
    await queue.fail(second, retryable=False)
    rows = await queue.connection.fetch("select * from esteira.dead_letter")
    assert [row["id"] for row in rows] == [second, first]
    assert (rows[0]["error_type"], rows[0]["error_message"], rows[0]["reason"]) == ("ValueError", "no", "not_retryable")


async def test_queue_stats_count_each_queue_with_its_workers(queue: Any, clock: Any) -> None:
    await queue.register(queues=["a"])
    running, dead, *_ = await queue.enqueue_many(4, queue="a")
    await queue.claim(2, lanes=[("a", 1)])
    await queue.fail(dead, retryable=False)
    await queue.enqueue(queue="a", delay=timedelta(hours=1))
    await queue.enqueue(queue="b")
    await clock.advance(queue.connection, seconds=5)
    a, b, declared = await queue.connection.fetch("select * from esteira.queue_stats")
    assert [row["queue"] for row in (a, b, declared)] == ["a", "b", "default"]
    assert (a["ready"], a["scheduled"], a["running"], a["waiting"], a["dead"], a["workers"]) == (2, 1, 1, 0, 1, 1)
    assert (a["oldest_ready_at"], a["oldest_ready_age"]) == (START, timedelta(seconds=5))
    assert (b["ready"], b["workers"]) == (1, 0)
    assert (declared["ready"], declared["oldest_ready_at"]) == (0, None)
    assert (await queue.job(running))["status"] == "running"


async def test_task_stats_show_each_declared_task_with_its_jobs_and_workers(queue: Any, other: Any) -> None:
    await queue.register(["a", "b"], unique_fields=["id"], unique_on_conflict="reject")
    await other.register(["a"], version=0)
    await other.call("drain", other.worker)
    dead, _ = await queue.enqueue("a", {"id": 1}), await queue.enqueue("a", {"id": 2})
    await queue.claim(tasks=["a"])
    await queue.fail(dead, retryable=False)
    await queue.enqueue("a", {"id": 3}, queue="q", delay=timedelta(hours=1))
    await queue.enqueue("a", {"id": 4}, queue="q")
    await queue.enqueue("unknown")
    a, b = await queue.connection.fetch("select * from esteira.task_stats")
    assert (a["task"], a["version"], a["unique_fields"], a["unique_on_conflict"]) == ("a", 1, ["id"], "reject")
    assert (a["ready"], a["scheduled"], a["running"], a["waiting"], a["dead"], a["workers"]) == (1, 1, 1, 0, 1, 1)
    assert (b["task"], b["ready"], b["workers"]) == ("b", 0, 1)


async def test_totals_are_one_row_even_when_there_is_nothing(queue: Any, clock: Any) -> None:
    (nothing,) = await queue.connection.fetch("select * from esteira.totals")
    assert set(nothing.values()) == {0, None}
    await queue.register()
    done, _, _ = await queue.enqueue_many(3)
    await queue.claim(2)
    await queue.complete(done)
    await queue.enqueue(queue="q", delay=timedelta(hours=1))
    await clock.advance(queue.connection, seconds=5)
    await queue.connection.execute("select pg_stat_force_next_flush()")
    (row,) = await queue.connection.fetch("select * from esteira.totals")
    assert (row["ready"], row["scheduled"], row["running"], row["dead"]) == (1, 1, 1, 0)
    assert (row["oldest_ready_age"], row["workers"], row["slots"]) == (timedelta(seconds=5), 1, 10)
    assert row["finished_estimate"] == 1


async def test_worker_status_counts_what_each_holds(queue: Any) -> None:
    await queue.register()
    await queue.running()
    row = await queue.connection.fetchrow("select * from esteira.worker_status")
    assert (row["running"], row["slots"], row["state"], row["silent_for"]) == (1, 10, "alive", timedelta(0))


async def test_a_job_past_its_timeout_is_stuck(queue: Any, clock: Any) -> None:
    job = await queue.running(timeout=timedelta(seconds=60))
    await clock.advance(queue.connection, seconds=60)
    assert await ids(queue, "stuck_jobs") == []
    await clock.advance(queue.connection, seconds=1)
    assert await ids(queue, "stuck_jobs") == [job]


async def test_a_job_without_progress_for_a_quarter_of_an_hour_is_stuck_until_it_makes_some(
    queue: Any, clock: Any
) -> None:
    job = await queue.running()
    await clock.advance(queue.connection, seconds=901)
    assert await ids(queue, "stuck_jobs") == [job]
    await queue.call("progress", job, 1, 0.5, None, None)
    assert await ids(queue, "stuck_jobs") == []


async def test_a_job_ready_for_five_minutes_is_stuck_with_the_reason(queue: Any, clock: Any) -> None:
    job = await queue.enqueue()
    await queue.enqueue(delay=timedelta(hours=1))
    await clock.advance(queue.connection, seconds=301)
    (row,) = await queue.connection.fetch("select * from esteira.stuck_jobs")
    assert (row["id"], row["status"], row["reason"]) == (job, "queued", "no_worker")


async def test_the_views_of_what_goes_on_read_no_history(queue: Any) -> None:
    for view in ("stuck_jobs", "running_jobs", "queue_stats", "task_stats", "totals", "dead_letter"):
        plan = str(await queue.connection.fetch(f"explain select * from esteira.{view}"))
        assert "job_finished" not in plan, view
        assert "job_live" in plan or "job_dead" in plan, view


async def test_health_names_who_holds_the_oldest_snapshot_and_the_oldest_transaction(queue: Any, connect: Any) -> None:
    holder = await connect(server_settings={"application_name": "report"})
    pid = holder.get_server_pid()
    async with holder.transaction(isolation="repeatable_read"):
        await holder.fetchval("select count(*) from esteira.job_live")
        await queue.enqueue()
        health = await queue.connection.fetchrow("select * from esteira.db_health")
    assert (health["oldest_transaction_pid"], health["oldest_transaction_name"]) == (pid, "report")
    assert (health["xmin_holder"], health["xmin_holder_name"], health["xmin_holder_pid"]) == ("session", "report", pid)
    assert health["xmin_age"] >= 1
    assert health["oldest_transaction_age"] > timedelta(0)
    health = await queue.connection.fetchrow("select * from esteira.db_health")
    assert (health["oldest_transaction_pid"], health["xmin_holder"]) == (None, None)


async def test_a_job_shows_its_backoff_and_never_one_that_is_no_number(queue: Any) -> None:
    async def shown(task: str) -> tuple[float, float]:
        job = await queue.enqueue(task)
        row = await queue.connection.fetchrow(
            "select retry_first_seconds, retry_max_seconds from esteira.jobs where id = $1", job
        )
        return tuple(row)

    assert await shown("nobodys") == (5, 3600)
    await queue.register(["t"], retry_first_seconds=7, retry_max_seconds=8)
    assert await shown("t") == (7, 8)
    await queue.connection.execute("update esteira.job set retry_max_seconds = 'NaN', retry_first_seconds = 'infinity'")
    assert set(await queue.connection.fetch("select retry_first_seconds, retry_max_seconds from esteira.jobs")) == {
        (3.2e9, 3.2e9)
    }
