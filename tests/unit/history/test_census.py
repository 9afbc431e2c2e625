"""Conservation is seen to fail."""

from __future__ import annotations

from datetime import timedelta

from tests.postgres import Clock
from tests.sql.conftest import Queue
from tests.unit.history.conftest import First

COPY = """
insert into esteira.job_live (id, queue, task, attempt, generation)
select id, queue, task, attempt, generation + 1 from esteira.job_dead"""


async def test_what_retention_and_discard_remove_is_accounted_for(queue: Queue, clock: Clock, first: First) -> None:
    await queue.connection.execute("select esteira.set_retention('short', finished => '1 h', dead => '1 h')")
    for name in ("default", "short"):
        await queue.enqueue_many(3, queue=name)
        done, dead, discarded = [row["id"] for row in await queue.claim(lanes=[(name, 1)])]
        await queue.complete(done)
        for job in (dead, discarded):
            await queue.fail(job, retryable=False)
        await queue.call("discard", discarded)
    assert await first() is None
    await clock.advance(queue.connection, seconds=2 * 3600)
    await queue.call("retain")
    assert await queue.count("job") == 2
    assert await first() is None
    await clock.advance(queue.connection, seconds=9 * 86400)
    await queue.call("retain")
    assert await queue.count("job") == 1
    assert await first() is None


async def test_a_live_job_that_is_removed_breaks_conservation(queue: Queue, first: First) -> None:
    job = await queue.enqueue()
    await queue.connection.execute("delete from esteira.job")
    assert await first() == ("Conservation", job, "it was removed while it was queued")


async def test_a_completed_job_that_nobody_counted_breaks_conservation(queue: Queue, first: First) -> None:
    await queue.complete(await queue.running())
    await queue.connection.execute("delete from esteira.job")
    counted = (
        "0 jobs were there, 1 were enqueued, 0 are there, so 1 are gone; but retention removed 0 and 0 dead ones"
        " were removed"
    )
    assert await first() == ("Conservation", None, counted)


async def test_a_day_that_is_dropped_by_hand_breaks_conservation(queue: Queue, first: First) -> None:
    await queue.complete(await queue.running())
    day = await queue.connection.fetchval("select tableoid::regclass::text from esteira.job")
    await queue.connection.execute(f"drop table {day}")
    found = await first()
    assert found is not None
    assert found[0] == "Conservation"
    assert "so 1 are gone" in found[2]


async def test_two_rows_of_one_job_break_conservation(queue: Queue, first: First) -> None:
    job = await queue.running()
    await queue.fail(job, retryable=False)
    await queue.connection.execute(COPY)
    assert await first() == ("Conservation", job, "there are two rows of it")


async def test_a_change_that_was_not_recorded_breaks_conservation(queue: Queue, first: First) -> None:
    job = await queue.running()
    await queue.connection.execute("set session_replication_role = replica")
    await queue.connection.execute("update esteira.job set attempt = 5")
    unseen = "it was running in attempt 1, and it is running in attempt 5: nothing recorded that"
    assert await first() == ("Conservation", job, unseen)
    await queue.connection.execute("set session_replication_role = origin")
    await queue.connection.execute("update esteira.job set tags = '{changed}'")
    unseen = "it was running in attempt 1, and was running in attempt 5 next: nothing recorded that"
    assert await first() == ("Conservation", job, unseen)


async def test_a_job_that_vanishes_after_its_end_breaks_conservation(queue: Queue, first: First) -> None:
    job = await queue.running()
    await queue.complete(job)
    await queue.connection.execute("set session_replication_role = replica")
    await queue.connection.execute("delete from esteira.job")
    assert await first() == ("Conservation", job, "it was completed, and is gone: nothing recorded that")


async def test_a_job_that_begins_in_the_middle_breaks_conservation(queue: Queue, first: First) -> None:
    await queue.connection.execute("insert into esteira.job_live (queue, task, attempt) values ('q', 't', 3)")
    found = await first()
    assert found is not None
    assert (found[0], found[2]) == ("Conservation", "it came as queued in attempt 3")


async def test_a_job_that_was_replaced_before_it_began_is_in_order(queue: Queue, first: First) -> None:
    job = await queue.enqueue(unique_key="u")
    later = await queue.enqueue(unique_key="u", on_conflict="replace", delay=timedelta(hours=1))
    assert later == job
    assert await first() is None


async def test_a_job_that_is_enqueued_and_ended_in_one_transaction_is_in_order(queue: Queue, first: First) -> None:
    async with queue.connection.transaction():
        job = await queue.enqueue()
        await queue.call("cancel", job)
        await queue.call("retry", job)
        await queue.claim()
        await queue.fail(job, retryable=False)
        await queue.call("discard", job)
    assert await first() is None
