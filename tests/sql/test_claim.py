from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_claimed_job_runs_at_its_first_attempt_on_that_engine(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    job = await queue.enqueue(payload={"n": 1}, timeout=timedelta(seconds=9))
    (claimed,) = await queue.claim(engine=3)
    assert (claimed["id"], claimed["attempt"], claimed["payload"]) == (job, 1, '{"n": 1}')
    assert (claimed["timeout_seconds"], claimed["claimed_at"]) == (9, START)
    row = await queue.job(job)
    assert (row["status"], row["worker_id"], row["engine"], row["started_at"]) == ("running", queue.worker, 3, START)


async def test_with_nothing_to_take_the_only_row_tells_the_time(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    rows = await queue.connection.fetch(
        "select * from esteira.claim($1, 0, 5, '{t}', '{default}', '{1}', '{-infinity}', array[$1]::uuid[])",
        queue.worker,
    )
    assert [(row["id"], row["claimed_at"]) for row in rows] == [(None, START)]


async def test_lanes_are_emptied_in_the_order_given(queue: Any) -> None:
    for priority in ("low", "critical", "normal", "high", "critical"):
        await queue.enqueue(priority=priority)
    lanes = [("default", priority) for priority in (3, 2, 1, 0)]
    taken = [[row["priority"] for row in await queue.claim(2, lanes=lanes)] for _ in range(3)]
    assert [sorted(batch, reverse=True) for batch in taken] == [[3, 3], [2, 1], [0]]


async def test_within_a_lane_the_oldest_goes_first(queue: Any) -> None:
    jobs = [await queue.enqueue() for _ in range(4)]
    assert [row["id"] for row in await queue.claim(3)] == jobs[:3]


async def test_only_the_queues_and_tasks_asked_for_are_claimed(queue: Any) -> None:
    await queue.enqueue("unknown")
    await queue.enqueue("t", queue="elsewhere")
    known = await queue.enqueue("t")
    assert [row["id"] for row in await queue.claim(tasks=["t", "u"])] == [known]
    assert await queue.count("job_live where status = 'queued' and attempt = 0") == 2


async def test_a_job_of_the_future_is_claimed_when_its_time_has_come(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    job = await queue.enqueue(delay=timedelta(minutes=10))
    await clock.advance(queue.connection, seconds=599)
    assert await queue.claim() == []
    assert await queue.call("next_ready_at", ["default"], ["t"]) == START + timedelta(minutes=10)
    await clock.advance(queue.connection, seconds=1)
    assert [row["id"] for row in await queue.claim()] == [job]
    assert await queue.call("next_ready_at", ["default"], ["t"]) is None


async def test_the_next_ready_job_is_looked_for_among_the_given_queues_and_tasks(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    await queue.enqueue("t", delay=timedelta(minutes=1), queue="elsewhere")
    await queue.enqueue("unknown", delay=timedelta(minutes=2))
    await queue.enqueue("t", delay=timedelta(minutes=4))
    await queue.enqueue("t", delay=timedelta(minutes=3), priority="low")
    assert await queue.call("next_ready_at", ["default"], ["t"]) == START + timedelta(minutes=3)


async def test_a_claim_locks_no_more_rows_than_it_takes(queue: Any, other: Any) -> None:
    for name in ("a", "b", "c"):
        await queue.enqueue_many(20, queue=name)
    async with queue.connection.transaction():
        assert len(await queue.claim(5, lanes=[("a", 1), ("b", 1), ("c", 1)])) == 5
        free = await other.connection.fetch("select id from esteira.job_live for update skip locked")
        assert len(free) == 55


async def test_claims_of_two_sessions_never_meet(queue: Any, other: Any) -> None:
    await queue.enqueue_many(100)
    async with queue.connection.transaction(), other.connection.transaction():
        mine = {row["id"] for row in await queue.claim(60)}
        theirs = {row["id"] for row in await other.claim(60)}
    assert (len(mine), len(theirs), mine & theirs) == (60, 40, set())


async def test_claims_at_the_same_time_take_every_job_once(queue: Any, other: Any) -> None:
    jobs = await queue.enqueue_many(600)

    async def drain(session: Any) -> list[Any]:
        taken: list[Any] = []
        while rows := await session.claim(7):
            taken += [row["id"] for row in rows]
        return taken

    taken = await asyncio.gather(drain(queue), drain(other))
    # One that stops early may leave what the other had locked just then.
    assert sorted(taken[0] + taken[1]) == sorted(jobs)


async def test_a_claim_that_rolls_back_leaves_the_job_as_it_was(queue: Any, other: Any) -> None:
    job = await queue.enqueue()
    transaction = queue.connection.transaction()
    await transaction.start()
    await queue.claim()
    await transaction.rollback()
    assert [(row["id"], row["attempt"]) for row in await other.claim()] == [(job, 1)]


async def test_the_queues_that_hold_jobs_are_found_ready_or_not(queue: Any) -> None:
    await queue.running(queue="default")
    await queue.enqueue(queue="b")
    await queue.enqueue(queue="a", delay=timedelta(days=1))
    await queue.enqueue(queue="b")
    rows = await queue.connection.fetch("select * from esteira.ready_queues()")
    assert [row[0] for row in rows] == ["a", "b"]


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ([], ["a", "b", "c", "d"]),
        (["b"], ["a", "c", "d"]),
        (["a", "d"], ["b", "c"]),
        (["d", "a", "c", "b"], []),
        (["0", "bb", "e", None, "b", "b"], ["a", "c", "d"]),
    ],
)
async def test_queues_that_are_known_are_left_out(queue: Any, known: list[str | None], found: list[str]) -> None:
    for name in "aabbccdd":
        await queue.enqueue(queue=name)
    rows = await queue.connection.fetch("select * from esteira.ready_queues($1)", known)
    assert sorted(row[0] for row in rows) == found
