"""register, heartbeat, tick, rescue, crash and retire: workers and their leases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from esteira.database import translated
from esteira.errors import DatabaseUnavailable

START = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = 6


async def ticks(queue: Any, clock: Any, number: int, *beating: Any) -> int:
    """Let that many seconds pass; give how many jobs were taken back."""
    rescued = 0
    for _ in range(number):
        await clock.advance(queue.connection, *(one.connection for one in beating), seconds=1)
        for one in beating:
            await beat(one)
        rescued += await queue.call("tick", LEASE)
    return rescued


async def beat(queue: Any) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await queue.connection.fetch("select * from esteira.heartbeat($1)", queue.worker)
    return rows


async def state(queue: Any, worker: Any) -> str:
    found: str = await queue.connection.fetchval("select state from esteira.worker_status where id = $1", worker)
    return found


async def test_a_worker_introduces_itself_with_its_tasks_and_queues(queue: Any) -> None:
    await queue.register(["b", "a"], ["x", "y"], queue="billing", steps=["load", "save"])
    worker = await queue.connection.fetchrow("select * from esteira.worker_status")
    assert (worker["state"], worker["tasks"], worker["queues"]) == ("alive", ["a", "b"], ["x", "y"])
    task = await queue.connection.fetchrow("select * from esteira.task where name = 'a'")
    assert (task["queue"], task["priority"], task["steps"]) == ("billing", 1, ["load", "save"])
    assert [row[0] for row in await queue.connection.fetch("select name from esteira.queue")] == ["billing"]


async def test_a_worker_cannot_declare_what_could_not_be_enqueued(queue: Any) -> None:
    for tasks, options in ((["relatório"], {}), (["t"], {"queue": "a b"})):
        with pytest.raises(asyncpg.PostgresError, match="is no name") as refused:
            await queue.register(tasks, **options)
        assert refused.value.sqlstate == "ES004"


async def test_the_newest_declaration_of_a_task_wins(queue: Any, other: Any) -> None:
    await queue.register(version=2, max_attempts=7)
    await other.register(version=1, max_attempts=1)
    assert await queue.connection.fetchval("select max_attempts from esteira.task") == 7
    assert await queue.count("worker") == 2


async def test_a_heartbeat_tells_of_all_living_engines_and_keeps_the_worker_alive(
    queue: Any, other: Any, clock: Any
) -> None:
    await clock.set(queue.connection, other.connection, when=START)
    await queue.register()
    await other.register()
    await clock.advance(queue.connection, other.connection, seconds=11)
    assert await state(queue, queue.worker) == "silent"
    (row,) = await beat(queue)
    assert (row["engines"], row["cancel_ids"]) == (2, [])
    assert await state(queue, queue.worker) == "alive"


async def test_a_worker_that_never_registered_or_was_given_up_gets_no_row(queue: Any) -> None:
    assert await beat(queue) == []
    await queue.register()
    await queue.call("rescue", queue.worker)
    assert await beat(queue) == []


async def test_a_silent_worker_is_given_up_after_its_lease_and_a_beating_one_is_not(
    queue: Any, other: Any, clock: Any
) -> None:
    await clock.set(queue.connection, other.connection, when=START)
    await other.register()
    await queue.register()
    job = await queue.running()
    assert await ticks(queue, clock, LEASE - 1, other) == 0
    assert await state(queue, queue.worker) == "alive"
    assert await ticks(queue, clock, 1, other) == 1
    assert (await state(queue, queue.worker), await state(queue, other.worker)) == ("lost", "alive")
    row = await queue.job(job)
    assert (row["status"], row["crashes"], row["failures"]) == ("queued", 1, 0)
    assert await queue.attempts(job) == [(1, "lost")]


async def test_one_beat_renews_the_whole_lease(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    await queue.register()
    await ticks(queue, clock, LEASE - 1)
    await beat(queue)
    await ticks(queue, clock, LEASE)
    assert await state(queue, queue.worker) == "alive"
    await ticks(queue, clock, 1)
    assert await state(queue, queue.worker) == "lost"


@pytest.mark.parametrize("jump", [3600, -3600], ids=["forwards", "backwards"])
async def test_a_clock_that_jumps_by_an_hour_counts_as_one_tick(queue: Any, clock: Any, jump: int) -> None:
    await clock.set(queue.connection, when=START)
    await queue.register()
    await clock.advance(queue.connection, seconds=jump)
    await queue.call("tick", LEASE)
    assert await queue.connection.fetchval("select missed_ticks from esteira.worker") == 1


async def test_many_callers_count_one_tick_a_second(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    await queue.register()
    for _ in range(3):
        await clock.advance(queue.connection, seconds=0.5)
        for _ in range(5):
            await queue.call("tick", LEASE)
    assert await queue.connection.fetchval("select missed_ticks from esteira.worker") == 1


async def test_a_tick_that_had_to_wait_counts_from_when_it_came_through(queue: Any, other: Any) -> None:
    await queue.register()
    await queue.connection.execute("update esteira.worker set ticked_at = ticked_at - interval '1 minute'")
    holding = queue.connection.transaction()
    await holding.start()
    await beat(queue)
    tick = asyncio.create_task(other.call("tick", LEASE))
    await queue.until_blocked(other)
    held_until = await queue.connection.fetchval("select clock_timestamp()")
    await holding.commit()
    await tick
    ticked_at, missed = await queue.connection.fetchrow("select ticked_at, missed_ticks from esteira.worker")
    assert (ticked_at > held_until, missed) == (True, 0)


async def test_while_one_ticks_the_others_do_nothing(queue: Any, other: Any, clock: Any) -> None:
    await clock.set(queue.connection, other.connection, when=START)
    await queue.register()
    async with queue.connection.transaction():
        await clock.advance(queue.connection, other.connection, seconds=1)
        await queue.call("tick", LEASE)
        await other.connection.execute("set lock_timeout = '2s'")
        assert await other.call("tick", LEASE) is None
    assert await queue.connection.fetchval("select missed_ticks from esteira.worker") == 1


async def test_a_worker_that_claims_after_it_was_given_up_loses_those_jobs_at_the_next_thorough_tick(
    queue: Any, clock: Any
) -> None:
    await clock.set(queue.connection, when=START)
    await queue.register()
    await queue.call("rescue", queue.worker)
    job = await queue.running()
    assert await ticks(queue, clock, 1) == 1
    assert (await queue.job(job))["status"] == "queued"


async def test_a_tick_that_is_not_thorough_rescues_whoever_stopped_beating_and_looks_for_nothing_else(
    queue: Any, clock: Any
) -> None:
    await clock.set(queue.connection, when=START)
    await queue.register()
    job = await queue.running()
    for _ in range(LEASE):
        await clock.advance(queue.connection, seconds=1)
        await queue.call("tick", LEASE, False)
    assert (await queue.job(job))["status"] == "queued"
    await queue.enqueue(queue="new")
    (stray,) = await queue.claim()  # the worker lives after all
    await queue.call("tick", LEASE, False)
    assert (await queue.job(stray["id"]))["status"] == "running"
    assert await queue.connection.fetchval("select count(*) from esteira.queue where name = 'new'") == 0


async def test_a_tick_notes_the_queues_that_jobs_stand_in_and_forgets_workers_gone_for_a_day(
    queue: Any, clock: Any
) -> None:
    await clock.set(queue.connection, when=START)
    await queue.register()
    await queue.call("retire", queue.worker)
    await queue.enqueue(queue="new")
    await queue.call("tick", LEASE)
    assert [row[0] for row in await queue.connection.fetch("select name from esteira.queue order by 1")] == [
        "default",
        "new",
    ]
    assert await queue.count("worker") == 1
    await clock.advance(queue.connection, seconds=86_401)
    await queue.call("tick", LEASE)
    assert await queue.count("worker") == 0


async def test_a_rescue_ends_the_open_completing_transaction_of_the_lost_worker(queue: Any, new_queue: Any) -> None:
    await queue.register()
    job = await queue.running()
    zombie = await new_queue(f"esteira/{queue.worker}/0", worker=queue.worker)
    bystander = await new_queue(f"esteira/{queue.connection.get_server_pid()}/0")
    transaction = zombie.connection.transaction()
    await transaction.start()
    assert await zombie.call("hold", job, 1)
    assert await zombie.complete(job) == [job]
    assert await queue.call("rescue", queue.worker) == 1
    with pytest.raises(DatabaseUnavailable), translated():
        await zombie.connection.fetchval("select 1")
    assert await bystander.connection.fetchval("select 1") == 1
    assert (await queue.job(job))["status"] == "queued"


async def test_a_rescued_job_wakes_the_workers(queue: Any, other: Any) -> None:
    heard = asyncio.get_running_loop().create_future()
    await other.connection.add_listener("esteira", lambda *arguments: heard.set_result(arguments[-1]))
    await queue.register()
    await queue.running(queue="default", notify=False)
    await queue.call("rescue", queue.worker)
    assert await asyncio.wait_for(heard, 5) == "default"
    await other.connection.reset(timeout=5)


async def test_a_crash_takes_back_the_jobs_of_that_engine_only(queue: Any) -> None:
    await queue.register()
    await queue.enqueue_many(2)
    (mine,) = await queue.claim(1, engine=1)
    (neighbour,) = await queue.claim(1, engine=2)
    assert await queue.call("crash", queue.worker, 1, "killed by SIGKILL") == 1
    row = await queue.job(mine["id"])
    assert (row["status"], row["crashes"], row["failures"]) == ("queued", 1, 0)
    assert "killed by SIGKILL" in row["error"]
    assert await queue.attempts(mine["id"]) == [(1, "crashed")]
    assert (await queue.job(neighbour["id"]))["status"] == "running"
    assert await state(queue, queue.worker) == "alive"


async def test_the_third_crash_or_loss_is_dead(queue: Any, new_queue: Any) -> None:
    job = await queue.enqueue(max_attempts=1)
    for attempt, verb in enumerate(("crash", "rescue", "crash"), start=1):
        session = await new_queue()
        await session.register()
        assert [row["attempt"] for row in await session.claim()] == [attempt]
        arguments = (session.worker, 0, "gone") if verb == "crash" else (session.worker,)
        assert await session.call(verb, *arguments) == 1
    row = await queue.job(job)
    assert (row["status"], row["reason"], row["crashes"], row["failures"]) == ("dead", "crashed", 3, 0)
    assert await queue.attempts(job) == [(1, "crashed"), (2, "lost"), (3, "crashed")]


@pytest.mark.parametrize("crashes", [0, 2])
async def test_a_job_that_was_asked_to_stop_is_cancelled_by_the_crash(queue: Any, crashes: int) -> None:
    await queue.register()
    job = await queue.running()
    await queue.connection.execute("update esteira.job_live set crashes = $1, attempt = 3", crashes)
    await queue.call("cancel", job)
    await queue.call("crash", queue.worker, 0, "gone")
    row = await queue.job(job)
    assert (row["status"], row["reason"], row["crashes"]) == ("cancelled", "cancelled", crashes + 1)


async def test_a_worker_that_leaves_gives_back_what_it_still_held_uncharged(queue: Any) -> None:
    await queue.register()
    job = await queue.running()
    assert await queue.call("retire", queue.worker) == 1
    row = await queue.job(job)
    assert (row["status"], row["crashes"], row["failures"]) == ("queued", 0, 0)
    assert await queue.attempts(job) == [(1, "released")]
    assert await state(queue, queue.worker) == "stopped"
    assert await beat(queue) == []
