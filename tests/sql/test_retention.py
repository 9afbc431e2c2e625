"""What is kept, for how long, and that removing it is in nobody's way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

THEN = datetime(2040, 5, 6, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COUNTS = """
select (select count(*) from esteira.job) as jobs, finished_removed, dead_removed from esteira.retention"""
HISTORY = """
with made as (
    insert into esteira.job (id, queue, task, status, attempt, worker_id, engine, started_at, finished_at)
    select esteira.uuid7(), $1, 't', 'completed', 1, gen_random_uuid(), 0, $2, $2::timestamptz + n * interval '1 ms'
    from generate_series(1, $3) as n
    returning id
)
insert into esteira.step (job_id, name, attempt, result, started_at, finished_at)
select id, 'only', 1, '1', $2, $2 from made"""


async def set_retention(queue: Any, name: str | None = None, **rules: timedelta) -> None:
    given = "".join(f", {rule} => ${place}" for place, rule in enumerate(rules, start=2))
    await queue.connection.execute(f"select esteira.set_retention($1{given})", name, *rules.values())


async def finished(queue: Any, when: datetime, count: int = 1, name: str = "default") -> None:
    """Make history: jobs that completed from that time on, a millisecond apart, with a step each."""
    await queue.call("make_day", when)
    await queue.connection.execute(HISTORY, name, when, count)


async def dead(queue: Any, name: str = "default") -> UUID:
    job: UUID = await queue.enqueue(queue=name)
    await queue.claim(lanes=[(name, 1)])
    assert await queue.fail(job, retryable=False) == "dead"
    return job


async def retained(queue: Any, batch: int = 5000) -> int:
    """Retain until nothing is left to remove; returns how much was."""
    removed, before = 0, None
    while (more := await queue.call("retain", batch)) or before != await days(queue):
        removed, before = removed + more, await days(queue)
    return removed


async def rows(queue: Any, *tables: str) -> list[int]:
    return [await queue.count(table) for table in tables]


async def days(queue: Any) -> list[str]:
    found = await queue.connection.fetch(
        "select right(inhrelid::regclass::text, 8) from pg_inherits"
        " where inhparent = 'esteira.job_finished'::regclass order by 1"
    )
    return [row[0] for row in found]


async def test_a_day_goes_whole_once_its_last_job_is_older_than_seven_days(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    await retained(queue)
    await finished(queue, THEN, 3)
    await clock.set(queue.connection, when=datetime(2040, 5, 13, 23, 59, tzinfo=UTC))
    assert await queue.call("retain") == 0
    assert await days(queue) == ["20400506"]
    await clock.set(queue.connection, when=datetime(2040, 5, 14, 0, 0, tzinfo=UTC))
    assert await queue.call("retain") == 3
    assert await days(queue) == []


async def test_its_steps_and_attempts_and_what_else_is_left_of_it_go_with_it(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN - HOUR)
    job = await queue.running()
    await queue.fail(job)
    await clock.set(queue.connection, when=THEN)
    assert await queue.claim()
    assert await queue.call("save_step", job, 2, "one", "1", THEN)
    living = await queue.running()
    assert await queue.call("save_step", living, 1, "one", "1", THEN)
    assert await queue.complete(job, attempt=2) == [job]
    await clock.advance(queue.connection, seconds=9 * 86400)
    await retained(queue)
    assert await rows(queue, "job", "attempt", "step", "activity") == [1, 0, 1, 1]
    assert await queue.count("job_live") == 1


async def test_a_queue_may_keep_its_jobs_for_less(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    await set_retention(queue, "short", finished=HOUR)
    for name in ("short", "default"):
        await finished(queue, THEN, 10, name)
        await finished(queue, THEN + HOUR, 10, name)
    await clock.advance(queue.connection, seconds=3600 + 1)
    assert await retained(queue, batch=4) == 10
    assert await rows(queue, "job where queue = 'short'", "job", "step") == [10, 30, 30]


async def test_a_queue_may_keep_its_jobs_for_longer_and_the_others_go_in_batches(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    await set_retention(queue, "long", finished=30 * DAY)
    await finished(queue, THEN, 5, "long")
    await finished(queue, THEN, 12, "never seen, and no name either")
    await finished(queue, THEN, 12)
    await clock.advance(queue.connection, seconds=8 * 86400)
    await retained(queue, batch=5)
    assert await rows(queue, "job where queue = 'long'", "job", "step") == [5, 5, 5]
    await clock.advance(queue.connection, seconds=30 * 86400)
    await retained(queue)
    assert await rows(queue, "job", "step") == [0, 0]


async def test_a_batch_is_a_batch(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    await set_retention(queue, "a", finished=HOUR)
    await set_retention(queue, "b", finished=HOUR)
    await finished(queue, THEN, 10, "a")
    await finished(queue, THEN, 10, "b")
    await clock.advance(queue.connection, seconds=7200)
    assert [await queue.count("job")] + [
        (await queue.call("retain", 6), await queue.count("job"))[1] for _ in range(4)
    ] == [20, 14, 8, 2, 0]


async def test_what_was_committed_late_goes_a_day_later(queue: Any, clock: Any) -> None:
    await set_retention(queue, "short", finished=HOUR)
    await clock.set(queue.connection, when=THEN)
    await retained(queue)
    await finished(queue, THEN - 2 * HOUR, 3, "short")
    await retained(queue)
    assert await queue.count("job") == 3
    await clock.advance(queue.connection, seconds=86400)
    await retained(queue)
    await retained(queue)
    assert await queue.count("job") == 0


async def test_dead_letters_stay_for_thirty_days_or_what_their_queue_says(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    await set_retention(queue, "short", dead=DAY)
    await set_retention(queue, "long", dead=60 * DAY)
    jobs = {name: await dead(queue, name) for name in ("short", "default", "long")}
    left = []
    for when in (THEN + HOUR, THEN + DAY + HOUR, THEN + 29 * DAY, THEN + 31 * DAY, THEN + 61 * DAY):
        await clock.set(queue.connection, when=when)
        await retained(queue, batch=2)
        left.append(await queue.count("job_dead"))
        assert await queue.count("attempt") == left[-1]
    assert left == [3, 2, 2, 1, 0]
    assert len(jobs) == 3


async def test_rules_can_be_changed_and_taken_back(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    await set_retention(queue, "q", finished=2 * HOUR)
    await finished(queue, THEN, 1, "q")
    await clock.advance(queue.connection, seconds=5400)
    await retained(queue)
    assert await queue.count("job") == 1
    await set_retention(queue, "q", finished=HOUR)
    await retained(queue)
    assert await queue.count("job") == 0
    await set_retention(queue, "q")
    rule = "select keep_finished, keep_dead from esteira.queue where name = 'q'"
    assert tuple(await queue.connection.fetchrow(rule)) == (None, None)
    await set_retention(queue, dead=DAY)
    assert tuple(await queue.connection.fetchrow("select finished, dead from esteira.retention")) == (7 * DAY, DAY)


@pytest.mark.parametrize("rule", [timedelta(), -DAY, timedelta(days=40_000)])
async def test_a_rule_that_makes_no_sense_is_refused(queue: Any, rule: timedelta) -> None:
    for name in (None, "q"):
        with pytest.raises(asyncpg.PostgresError, match="1 second to 100 years") as refused:
            await set_retention(queue, name, finished=rule)
        assert refused.value.sqlstate == "ES004"
    with pytest.raises(asyncpg.CheckViolationError, match="queue_name_is_short"):
        await set_retention(queue, "", dead=DAY)
    with pytest.raises(asyncpg.PostgresError, match="at least one job"):
        await queue.call("retain", 0)


async def test_it_runs_once_in_a_while_whoever_calls(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    await retained(queue)
    await set_retention(queue, "short", finished=HOUR)
    await finished(queue, THEN - 2 * HOUR, 3, "short")
    every = timedelta(minutes=1)
    assert await queue.call("retain", 5000, every) == 0
    await clock.advance(queue.connection, seconds=61)
    assert await queue.call("retain", 5000, every) == 3
    await clock.advance(queue.connection, seconds=-7200)
    await finished(queue, THEN - 5 * HOUR, 1, "short")
    await queue.call("retain", 5000, every)
    assert await queue.connection.fetchval("select retained_at from esteira.retention") < THEN - HOUR


async def test_one_at_a_time_retains(queue: Any, other: Any, clock: Any) -> None:
    await clock.set(queue.connection, other.connection, when=THEN)
    async with queue.connection.transaction():
        await queue.call("retain")
        await other.connection.execute("set statement_timeout = '5s'")
        assert await other.call("retain") == 0


async def test_it_comes_back_by_itself_after_somebody_deleted_its_row(queue: Any, clock: Any) -> None:
    await queue.connection.execute("delete from esteira.retention")
    await finished(queue, THEN, 2)
    await clock.set(queue.connection, when=THEN + 9 * DAY)
    assert await retained(queue) == 4
    assert tuple(await queue.connection.fetchrow(COUNTS)) == (0, 2, 0)


async def test_everything_enqueued_is_there_or_counted_as_removed(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    await retained(queue)
    await set_retention(queue, "short", finished=HOUR, dead=HOUR)
    for name in ("short", "default"):
        for _ in range(3):
            await dead(queue, name)
        jobs = await queue.enqueue_many(10, queue=name)
        await queue.claim(6, lanes=[(name, 1)])
        await queue.complete(*jobs[:4])
        await queue.call("cancel", jobs[9])
    seen = []
    for step in (0, 7200, 8 * 86400, 31 * 86400):
        await clock.advance(queue.connection, seconds=step)
        while await queue.call("retain", 2):
            assert sum(await queue.connection.fetchrow(COUNTS)) == 26
        seen.append(tuple(await queue.connection.fetchrow(COUNTS)))
    assert seen == [(26, 0, 0), (18, 5, 3), (13, 10, 3), (10, 10, 6)]


async def test_a_walk_finds_what_a_delete_by_hand_left_behind(queue: Any, clock: Any) -> None:
    await queue.register()
    jobs = await queue.enqueue_many(12)
    for row in await queue.claim():
        await queue.call("save_step", row["id"], 1, "one", "1", THEN)
        await queue.call("cancel", row["id"])
    await queue.connection.execute("delete from esteira.job where id = any($1)", jobs[::2])
    await clock.set(queue.connection, when=datetime.now(UTC) + 6 * DAY)
    await retained(queue, batch=5)
    assert await rows(queue, "step", "activity") == [12, 12]
    await clock.set(queue.connection, when=datetime.now(UTC) + 8 * DAY)
    for _ in range(4):
        await queue.call("retain", 5)
    assert await rows(queue, "step", "activity") == [6, 6]


async def test_idempotency_keys_go_after_a_day(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    for key in ("a", "b"):
        await queue.enqueue(idempotency_key=key)
        await clock.advance(queue.connection, seconds=43_300)
    assert await queue.call("retain") == 1
    assert await queue.connection.fetchval("select string_agg(key, ' ') from esteira.idempotency_key") == "b"


async def test_a_long_reader_keeps_its_day_and_nobody_waits_for_more_than_a_moment(
    queue: Any, other: Any, new_queue: Any, clock: Any
) -> None:
    reader = await new_queue()
    await clock.set(queue.connection, other.connection, when=THEN)
    await retained(queue)
    await finished(queue, THEN - 20 * DAY, 3)
    jobs = await queue.enqueue_many(100)
    await other.claim(100)
    loop = asyncio.get_running_loop()

    async def settle(some: list[UUID]) -> float:
        began = loop.time()
        for job in some:
            assert await other.complete(job) == [job]
        return loop.time() - began

    async with reader.connection.transaction(isolation="repeatable_read"):
        assert await reader.connection.fetchval("select count(*) from esteira.jobs") == 103
        # Each time one of the settles comes while the drop waits for the reader.
        longest = max([(await asyncio.gather(settle(jobs[n::5]), queue.call("retain")))[0] for n in range(5)])
        assert (await days(queue))[0] == "20400416"
        assert await reader.connection.fetchval("select count(*) from esteira.jobs") == 103
    # 100 ms behind the drop that gives up; the rest is for a busy machine.
    assert longest < 1
    assert await retained(queue) >= 3
    assert "20400416" not in await days(queue)


async def test_a_writer_in_the_expired_day_is_waited_for_on_another_pass(queue: Any, other: Any, clock: Any) -> None:
    job = await queue.enqueue()
    await clock.set(queue.connection, other.connection, when=THEN)
    await queue.call("cancel", job)
    await clock.advance(queue.connection, seconds=9 * 86400)
    async with other.connection.transaction():
        await other.call("retry", job)
        assert await queue.call("retain") == 0
    await retained(queue)
    assert (await queue.job(job))["status"] == "queued"
    assert "20400506" not in await days(queue)


async def test_fifty_thousand_jobs_are_removed_without_reading_the_others(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=THEN)
    await set_retention(queue, "short", finished=HOUR)
    await finished(queue, THEN, 20_000)
    await finished(queue, THEN, 30_000, "short")
    await clock.advance(queue.connection, seconds=7200)
    assert await retained(queue) == 30_000
    await queue.connection.execute("select pg_stat_force_next_flush()")
    read = "select idx_tup_read from pg_stat_user_indexes where indexrelname ~ '20400506_finished_at'"
    assert 30_000 <= await queue.connection.fetchval(read) < 31_000
    assert await rows(queue, "job", "step") == [20_000, 20_000]


@pytest.mark.parametrize(
    ("age", "rule", "sqlstate"),
    [(6 * DAY, None, "ES001"), (8 * DAY, None, "ES005"), (2 * HOUR, HOUR, "ES005"), (-DAY, None, "ES001")],
)
async def test_an_id_older_than_what_is_kept_is_gone(
    queue: Any, clock: Any, age: timedelta, rule: timedelta | None, sqlstate: str
) -> None:
    await clock.set(queue.connection, when=THEN)
    if rule:
        await set_retention(queue, "q", finished=rule)
    job = await queue.call("uuid7_at", THEN - age)
    for verb in ("cancel", "retry"):
        with pytest.raises(asyncpg.PostgresError, match=str(job)) as refused:
            await queue.call(verb, job)
        assert refused.value.sqlstate == sqlstate


async def test_an_id_of_another_kind_was_never_there(queue: Any) -> None:
    with pytest.raises(asyncpg.PostgresError, match="no job") as refused:
        await queue.call("missing", uuid4())
    assert refused.value.sqlstate == "ES001"


@pytest.mark.parametrize(
    ("kept", "told"), [("1 s", "1 sec"), ("90 min", "1 hour 30 mins"), ("7 days", "7 days"), ("2 months", "2 mons")]
)
async def test_how_long_jobs_are_kept_is_told_in_words(queue: Any, kept: str, told: str) -> None:
    await queue.connection.execute("update esteira.retention set finished = $1::text::interval", kept)
    with pytest.raises(asyncpg.PostgresError, match=f": jobs are kept for {told} after their end$"):
        await queue.call("missing", "01976d3c-5a5e-7c3a-9d2e-0b6f6a1f2b3c")


async def test_a_job_that_retention_removed_is_gone(queue: Any, clock: Any) -> None:
    job = await queue.running()
    await queue.complete(job)
    await clock.set(queue.connection, when=datetime.now(UTC) + 9 * DAY)
    await retained(queue)
    with pytest.raises(asyncpg.PostgresError, match="is gone: jobs are kept for 7 days after their end"):
        await queue.call("cancel", job)
