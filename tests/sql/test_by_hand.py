"""What an operator does with plain update and delete works or is refused with a message, and the queue goes on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest

from esteira import Client

if TYPE_CHECKING:
    from uuid import UUID

THEN = datetime(2040, 1, 1, tzinfo=UTC)
ENDED = "finished_at = now(), reason = 'by hand', worker_id = null, engine = null"
ERROR = """error = '{"type": "Human", "message": "by hand"}'"""
LIVED = "worker_id = null, engine = null, finished_at = null, result = null"
VIEWS = "select relname from pg_class where relnamespace = 'esteira'::regnamespace and relkind = 'v'"


async def job_in(queue: Any, status: str) -> tuple[UUID, int]:
    """Make a job of this status; give its id and attempt."""
    if status == "queued":
        return await queue.enqueue(), 0
    job: UUID = await queue.running()
    if status == "waiting":
        await queue.connection.execute(
            "update esteira.job set status = 'waiting', worker_id = null, engine = null where id = $1", job
        )
    elif status == "completed":
        await queue.complete(job)
    elif status == "dead":
        await queue.fail(job, retryable=False)
    elif status == "cancelled":
        await queue.call("cancel", job)
        await queue.call("acknowledge_cancel", job, 1)
    return job, 1


async def goes_on(queue: Any, url: str) -> None:
    """See that maintenance, views and pages work, and that a new job is claimed, failed, retried, completed."""
    await queue.call("tick")
    await queue.call("retain")
    for view in await queue.connection.fetch(VIEWS):
        await queue.connection.fetch(f"select * from esteira.{view[0]}")
    await queue.connection.fetch("select esteira.explain(id) from esteira.job")
    async with Client(url) as client:
        await client.jobs()
    job = await queue.enqueue("probe")
    assert [row["id"] for row in await queue.claim(tasks=["probe"])] == [job]
    assert await queue.call("progress", job, 1, 0.5, None, None)
    assert await queue.fail(job, retryable=False) == "dead"
    await queue.call("retry", job)
    assert [row["attempt"] for row in await queue.claim(tasks=["probe"])] == [2]
    assert await queue.complete(job, attempt=2) == [job]


STATUSES = {
    "queued": f"status = 'queued', {LIVED}",
    "waiting": f"status = 'waiting', {LIVED}",
    "completed": "status = 'completed', finished_at = now()",
    "cancelled": f"status = 'cancelled', {ENDED}, result = null",
    "dead": f"status = 'dead', {ENDED}, {ERROR}, result = null",
}


@pytest.mark.parametrize("before", [*STATUSES, "running"])
async def test_every_status_can_be_set_by_hand_and_the_worker_is_fenced(
    queue: Any, before: str, database_url: str
) -> None:
    for after, change in STATUSES.items():
        job, attempt = await job_in(queue, before)
        await queue.connection.execute(f"update esteira.job set {change} where id = $1", job)
        assert (await queue.job(job))["status"] == after
        assert await queue.complete(job, attempt=attempt) == []
        assert await queue.fail(job, attempt) is None
        claimed = [row["id"] for row in await queue.claim()]
        assert claimed == ([job] if after == "queued" else [])
        if claimed:
            assert await queue.complete(job, attempt=attempt + 1) == [job]
        elif after == "waiting":
            assert await queue.call("cancel", job) == "cancelled"
        elif after in ("dead", "cancelled"):
            assert await queue.call("retry", job) == job
            await queue.claim()
            assert await queue.complete(job, attempt=attempt + 1) == [job]
    await goes_on(queue, database_url)


async def test_all_running_jobs_are_put_back_at_once(queue: Any) -> None:
    jobs = await queue.enqueue_many(3)
    await queue.claim()
    await queue.connection.execute(
        "update esteira.job set status = 'queued', worker_id = null, engine = null where status = 'running'"
    )
    assert await queue.complete(*jobs) == []
    assert {row["attempt"] for row in await queue.claim()} == {2}
    assert len(await queue.complete(*jobs, attempt=2)) == 3


async def test_running_is_what_a_claim_makes_it(queue: Any) -> None:
    job = await queue.enqueue()
    with pytest.raises(asyncpg.CheckViolationError, match="job_running_has_a_worker"):
        await queue.connection.execute("update esteira.job set status = 'running' where id = $1", job)


async def test_running_for_somebody_by_hand_comes_back_without_a_start(queue: Any, database_url: str) -> None:
    job = await queue.enqueue()
    await queue.connection.execute(
        "update esteira.job set status = 'running', worker_id = $2, engine = 0 where id = $1", job, uuid4()
    )
    assert await queue.call("tick") == 1
    assert (await queue.job(job))["status"] == "queued"
    await goes_on(queue, database_url)


REFUSED = {
    "attempt = 2147483647": "job_count_is_below_a_billion",
    "failures = 2147483647": "job_count_is_below_a_billion",
    "attempt = -1": "job_count_is_below_a_billion",
    "ready_at = 'infinity'": "job_runs_from_1970_to_2200",
    "ready_at = '-infinity'": "job_runs_from_1970_to_2200",
    "run_at = '0044-03-15 BC'": "job_runs_from_1970_to_2200",
    "expires_at = 'infinity'": "job_runs_from_1970_to_2200",
    "timeout_seconds = 'infinity'": "job_limits_are_positive",
    "timeout_seconds = 'NaN'": "job_limits_are_positive",
    "error = '{}'": "job_error_has_type_and_message",
    "error = '[]'": "job_error_has_type_and_message",
    "progress = 'NaN'": "job_progress_is_a_share",
    "finished_at = '2001-01-01', status = 'completed'": None,
}


async def test_what_would_break_others_is_refused(queue: Any, database_url: str) -> None:
    job = await queue.enqueue()
    await queue.register()
    await queue.connection.execute("insert into esteira.activity values ($1, 1, 0, null, null, now())", job)
    for table, changes in {
        "job": REFUSED,
        "task": {
            "timeout_seconds = 'NaN'": "task_limits_are_positive",
            "retry_max_seconds = -1": "task_limits_are_positive",
            "priority = 7": "task_priority_is_0_to_3",
            "queue = ''": "task_queue_is_short",
        },
        "worker": {
            "ticked_at = 'infinity'": "worker_times_are_finite",
            "beat_at = '-infinity'": "worker_times_are_finite",
            "missed_ticks = 2147483647": "worker_missed_ticks_are_few",
            "slots = 0": "worker_slots_is_positive",
        },
        "activity": {
            "updated_at = 'infinity'": "activity_times_are_finite",
            "progress = 7": "activity_progress_is_a_share",
        },
        "retention": {"finished = '0'": "retention_finished_is_positive", "id = 2": "retention_is_one_row"},
        "queue": {"keep_dead = '-1 day'": "queue_keep_dead_is_positive"},
    }.items():
        for change, constraint in changes.items():
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                await queue.connection.execute(f"update esteira.{table} set {change}")
            assert constraint in (None, refused.value.constraint_name), change
    await goes_on(queue, database_url)


WORKS = [
    "ready_at = '1970-01-01Z', run_at = '1970-01-01Z'",
    "ready_at = '2200-12-31Z'",
    "queue = 'a queue with no name'",
    "task = 'Nobody''s task'",
    "priority = 3",
    "attempt = 999999998",
    "attempt = 9, failures = 5, crashes = 4",
    "attempt = 0, failures = 2, crashes = 2",
    "max_attempts = 1, failures = 1, attempt = 1",
    "generation = 2147483647",
    "generation = -1",
    "result = '1', result_error = 'it had none'",
    "failures = 999999999, crashes = 999999999",
    "tags = array['a', null]",
    "payload = 'null'",
    "metadata = '{}'",
    "expires_at = '1999-01-01'",
    "unique_key = 'u'",
    "created_at = '1999-01-01', updated_at = '1999-01-01'",
    "reason = 'I say so'",
    'error = \'{"type": "Human", "message": "by hand"}\'',
    "progress = 1, progress_message = 'done, nearly', current_step = 'all'",
    "started_at = '1999-01-01'",
    "retry_first_seconds = 'NaN', retry_max_seconds = 'infinity'",
]


async def test_what_runs_has_begun_whatever_its_attempt_says(queue: Any, database_url: str) -> None:
    await queue.register()
    job = await queue.running()
    await queue.connection.execute(
        "update esteira.job set attempt = 0, expires_at = now(), unique_key = 'k' where id = $1", job
    )
    await queue.call("tick")
    with pytest.raises(asyncpg.PostgresError) as refused:
        await queue.enqueue(unique_key="k", on_conflict="replace")
    assert refused.value.sqlstate == "ES003"
    assert (await queue.job(job))["status"] == "running"
    await goes_on(queue, database_url)


async def test_counts_at_their_end_hinder_nobody(queue: Any, database_url: str) -> None:
    failing, lost = await queue.running(), await queue.running()
    await queue.connection.execute("update esteira.job set failures = 999999999, crashes = 999999999")
    assert await queue.fail(failing) == "dead"
    assert await queue.call("tick") == 1
    assert (await queue.job(lost))["reason"] == "crashed"
    await goes_on(queue, database_url)


@pytest.mark.parametrize("change", WORKS)
async def test_other_values_of_a_queued_job_work(queue: Any, change: str, database_url: str) -> None:
    job = await queue.enqueue()
    await queue.connection.execute(f"update esteira.job set {change} where id = $1", job)
    await goes_on(queue, database_url)
    row = await queue.job(job)
    claimed = await queue.claim(tasks=[row["task"]], lanes=[(row["queue"], p) for p in (3, 1)])
    if row["status"] == "queued" and row["ready_at"] < datetime.now(UTC):
        assert [one["id"] for one in claimed] == [job]
        assert await queue.fail(job, claimed[0]["attempt"]) in ("queued", "dead")


async def test_a_new_id_is_another_job(queue: Any, database_url: str) -> None:
    job, new = await queue.running(), uuid4()
    await queue.register()
    await queue.connection.execute("update esteira.job set id = $1 where id = $2", new, job)
    assert await queue.complete(job) == []
    assert await queue.call("retire", queue.worker) == 1
    assert [row["id"] for row in await queue.claim()] == [new]
    await goes_on(queue, database_url)


async def test_an_attempt_set_back_is_counted_again(queue: Any, database_url: str) -> None:
    job = await queue.running()
    await queue.call("snooze", job, 1, THEN - THEN)
    await queue.connection.execute("update esteira.job set attempt = 0")
    assert [row["attempt"] for row in await queue.claim()] == [1]
    assert await queue.fail(job) == "queued"
    assert await queue.attempts(job) == [(1, "failed")]
    await goes_on(queue, database_url)


async def test_a_job_whose_worker_nobody_knows_is_taken_back(queue: Any, other: Any, database_url: str) -> None:
    await queue.register()
    await other.register()
    tampered, orphaned = await queue.running(), await other.running()
    await queue.connection.execute("update esteira.job set worker_id = gen_random_uuid() where id = $1", tampered)
    await queue.connection.execute("delete from esteira.worker where id = $1", other.worker)
    assert await queue.call("tick") == 2
    assert {row["id"] for row in await queue.claim()} == {tampered, orphaned}
    assert await queue.attempts(tampered) == [(1, "lost")]
    await goes_on(queue, database_url)


@pytest.mark.parametrize("status", ["queued", "running", "waiting", "dead", "completed", "cancelled"])
async def test_a_job_can_be_deleted_in_any_status(queue: Any, status: str, database_url: str) -> None:
    job, attempt = await job_in(queue, status)
    await queue.connection.execute("delete from esteira.job where id = $1", job)
    assert await queue.complete(job, attempt=attempt) == []
    assert await queue.fail(job, attempt) is None
    assert not await queue.call("progress", job, attempt, 0.5, None, None)
    assert not await queue.call("save_step", job, attempt, "one", "1", THEN)
    assert await queue.claim() == []
    await goes_on(queue, database_url)


@pytest.mark.parametrize("how", ["delete from", "truncate"])
async def test_every_table_can_be_emptied(queue: Any, how: str, database_url: str) -> None:
    tables = ("task", "queue", "step", "activity", "attempt", "worker", "retention", "idempotency_key", "job")
    await queue.register()
    job = await queue.running()
    for table in tables:
        await queue.call("save_step", job, 1, "one", "1", THEN)
        await queue.connection.execute(f"{how} esteira.{table}")
        await goes_on(queue, database_url)
    assert await queue.complete(job) == []


async def test_a_twin_of_an_ended_job_ends_too(queue: Any, other: Any, database_url: str) -> None:
    """Such as from a backup: its id is in the dead letter, or among what finished today, already."""
    await queue.register()
    for end in (queue.complete, queue.fail):
        job = await queue.running()
        await (queue.complete(job) if end == queue.complete else queue.fail(job, retryable=False))
        await queue.connection.execute("insert into esteira.job (id, queue, task) values ($1, 'default', 't')", job)
        assert len(await queue.claim()) == 1
        if end == queue.complete:
            # The worker has no better way then: it halves the batch until the twin is alone, and lets it fail.
            with pytest.raises(asyncpg.UniqueViolationError):
                await queue.complete(job)
        assert await queue.fail(job, retryable=False) == "dead"
        assert await queue.count("job_live") == 0
    await goes_on(queue, database_url)


async def test_who_waits_for_a_row_that_is_moved_by_hand_hears_that_it_may_ask_again(queue: Any, other: Any) -> None:
    job = await queue.running()
    async with other.connection.transaction():
        await other.connection.execute("update esteira.job set status = 'completed', finished_at = now()")
        settling = asyncio.create_task(queue.complete(job))
        await other.until_blocked(queue)
    with pytest.raises(asyncpg.SerializationError):
        await settling
    assert await queue.complete(job) == []


async def test_a_task_s_policy_can_be_changed_by_hand(queue: Any) -> None:
    await queue.register()
    await queue.connection.execute("update esteira.task set max_attempts = 1")
    job = await queue.running()
    assert await queue.fail(job) == "dead"
