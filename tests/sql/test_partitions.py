from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

FAR = datetime(2040, 5, 6, 23, 59, 59, tzinfo=UTC)
DAYS = """
select c.relname from pg_inherits join pg_class as c on c.oid = inhrelid
where inhparent = 'esteira.job_finished'::regclass order by 1"""


async def days(queue: Any) -> list[str]:
    return [row[0].removeprefix("job_finished_") for row in await queue.connection.fetch(DAYS)]


async def test_today_and_the_fourteen_days_ahead_are_there_from_the_beginning(queue: Any) -> None:
    today = (await queue.connection.fetchval("select now() at time zone 'utc'")).date()
    made = await days(queue)
    # The template may be from before midnight.
    assert len(made) == 15
    assert made[1] in {f"{today + timedelta(days=ahead):%Y%m%d}" for ahead in (0, 1)}


async def test_maintenance_makes_what_is_missing_and_only_that(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=FAR)
    assert await queue.call("maintain_partitions", 3) == 4
    assert await queue.call("maintain_partitions", 3) == 0
    assert (await days(queue))[-4:] == ["20400506", "20400507", "20400508", "20400509"]


async def test_a_day_begins_at_midnight_in_utc_whatever_the_session_thinks(queue: Any) -> None:
    await queue.connection.execute("set timezone = 'Pacific/Auckland'; set datestyle = 'German'")
    assert await queue.call("make_day", FAR)
    assert not await queue.call("make_day", FAR - timedelta(hours=23))
    await queue.connection.execute("set timezone = 'UTC'; set datestyle = 'ISO'")
    bound = await queue.connection.fetchval(
        "select pg_get_expr(relpartbound, oid) from pg_class where relname = 'job_finished_20400506'"
    )
    assert bound == "FOR VALUES FROM ('2040-05-06 00:00:00+00') TO ('2040-05-07 00:00:00+00')"


async def test_a_settle_over_a_missing_day_makes_it(queue: Any, clock: Any) -> None:
    job = await queue.running()
    doomed = await queue.running()
    await clock.set(queue.connection, when=FAR)
    assert await queue.complete(job) == [job]
    await clock.advance(queue.connection, seconds=1)
    assert await queue.call("cancel", doomed) == "running"
    assert await queue.call("acknowledge_cancel", doomed, 1) == "cancelled"
    assert (await days(queue))[-2:] == ["20400506", "20400507"]


async def test_two_settles_over_the_same_missing_day_both_complete(queue: Any, other: Any, clock: Any) -> None:
    first, second = await queue.enqueue_many(2)
    await queue.claim()
    await other.complete()
    await clock.set(queue.connection, other.connection, when=FAR)
    async with queue.connection.transaction():
        assert await queue.complete(first) == [first]
        waiting = asyncio.create_task(other.complete(second))
        await queue.until_blocked(other)
    assert await waiting == [second]
    assert (await days(queue)).count("20400506") == 1


async def test_making_a_day_waits_for_no_reader(queue: Any, other: Any) -> None:
    async with other.connection.transaction(isolation="repeatable_read"):
        await other.connection.fetch("select * from esteira.jobs")
        await queue.connection.execute("set lock_timeout = '2s'")
        assert await queue.call("make_day", FAR)
        assert await other.count("job_finished") == 0


async def test_a_day_in_the_making_holds_up_neither_settles_nor_claims_nor_readers(queue: Any, other: Any) -> None:
    job = await other.running()
    await other.connection.execute("set lock_timeout = '2s'")
    async with queue.connection.transaction():
        assert await queue.call("make_day", FAR)
        assert await other.complete(job) == [job]
        assert await other.running()
        assert await other.count("job_finished") == 1


async def test_there_is_no_default_partition(queue: Any) -> None:
    assert await queue.connection.fetchval("select sum(partdefid::bigint)::int from pg_partitioned_table") == 0


async def test_every_leaf_has_its_primary_key_on_the_id(queue: Any) -> None:
    await queue.call("make_day", FAR)
    rows = await queue.connection.fetch(
        "select c.relname, pg_get_constraintdef(k.oid) as key from pg_partition_tree('esteira.job') as t"
        " join pg_class as c on c.oid = t.relid left join pg_constraint as k on k.conrelid = c.oid and k.contype = 'p'"
        " where t.isleaf"
    )
    assert len(rows) == 18
    assert {row["key"] for row in rows} == {"PRIMARY KEY (id)"}


async def test_a_reader_of_one_day_reads_that_partition_only(queue: Any) -> None:
    plan = await queue.connection.fetch(
        "explain select from esteira.job"
        " where status = 'completed' and finished_at >= '2040-05-06' and finished_at < '2040-05-07'"
    )
    assert "job_live" not in str(plan)
    assert "job_finished_20" not in str(plan)
