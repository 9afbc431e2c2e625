"""Unique keys: at most one live job of a task has one."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)


async def keyed(session: Any, key: str = "k", on_conflict: str | None = None, **named: Any) -> UUID:
    job: UUID = await session.enqueue(unique_key=key, on_conflict=on_conflict, **named)
    return job


async def dead(queue: Any, **named: Any) -> UUID:
    job: UUID = await queue.running(**named)
    await queue.fail(job, retryable=False)
    return job


async def outcomes(queue: Any, keys: list[str | None], *, atomic: bool = True, **arrays: Any) -> list[tuple[Any, str]]:
    rows = await queue.enqueue_batch(["t"] * len(keys), atomic=atomic, unique_keys=keys, **arrays)
    return [(row["id"], row["outcome"]) for row in rows]


@pytest.mark.parametrize("status", ["queued", "waiting", "running"])
async def test_the_job_that_lives_is_the_answer(queue: Any, status: str) -> None:
    job = await keyed(queue)
    if status == "running":
        await queue.claim()
    else:
        await queue.connection.execute("update esteira.job_live set status = $1", status)
    (row,) = await queue.enqueue_batch(["t"], unique_keys=["k"])
    assert (row["id"], row["queue"], row["outcome"]) == (job, None, "existing")
    assert await queue.count("job") == 1


@pytest.mark.parametrize("end", ["completed", "dead", "cancelled"])
async def test_a_job_that_has_ended_leaves_its_key_to_the_next(queue: Any, end: str) -> None:
    job = await queue.running(unique_key="k")
    if end == "completed":
        await queue.complete(job)
    else:
        await queue.fail(job, retryable=False)
    if end == "cancelled":
        await queue.call("retry", job)
        await queue.call("cancel", job)
    assert await outcomes(queue, ["k"], on_conflicts=["reject"]) != [(job, "unique_conflict")]
    assert (await queue.job(job))["status"] == end
    assert await queue.count("job_live") == 1


async def test_two_tasks_may_have_keys_of_the_same_name(queue: Any) -> None:
    rows = await queue.enqueue_batch(["a", "b", "a"], unique_keys=["k"] * 3)
    assert [row["outcome"] for row in rows] == ["enqueued", "enqueued", "existing"]


async def test_a_conflict_that_is_to_be_rejected_names_the_live_job_and_stores_nothing(
    queue: Any, refused: Any
) -> None:
    job = await keyed(queue)
    with refused("ES003", f'job {job} of the task "t" has the unique key "k"'):
        await outcomes(queue, ["new", "k"], on_conflicts=["reject"] * 2)
    assert await queue.count("job") == 1


async def test_without_atomic_a_conflict_is_an_outcome_and_the_rest_is_stored(queue: Any) -> None:
    job = await keyed(queue)
    first, second, third = await outcomes(queue, ["new", "k", None], atomic=False, on_conflicts=["reject"] * 3)
    assert (first[1], second, third[1]) == ("enqueued", (job, "unique_conflict"), "enqueued")
    assert await queue.count("job") == 3


async def test_a_replaced_job_keeps_its_id_and_takes_over_all_that_is_asked_for(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    job = await keyed(queue, queue="old", priority="low", tags=["old"], delay=timedelta(hours=2))
    replacement = {"delays": [timedelta(hours=1)], "queues": ["new"], "priorities": ["high"], "payloads": ['{"n": 2}']}
    (row,) = await queue.enqueue_batch(["t"], unique_keys=["k"], on_conflicts=["replace"], **replacement)
    assert (row["id"], row["queue"], row["outcome"]) == (job, "new", "replaced")
    now = await queue.job(job)
    assert (now["queue"], now["priority"], now["tags"]) == ("new", "high", [])
    assert (now["run_at"], json.loads(now["payload"])) == (START + timedelta(hours=1), {"n": 2})
    assert await queue.count("job") == 1


async def test_a_job_that_has_begun_is_not_replaced_even_while_it_waits_for_its_next_attempt(
    queue: Any, refused: Any
) -> None:
    job = await queue.running(unique_key="k")
    with refused("ES003", "has begun, so it cannot be replaced"):
        await keyed(queue, on_conflict="replace")
    assert await queue.fail(job) == "queued"
    assert await outcomes(queue, ["k"], atomic=False, on_conflicts=["replace"]) == [(job, "unique_conflict")]


async def test_within_a_batch_the_first_of_a_key_counts_and_the_last_replacement(queue: Any) -> None:
    (first, one), (second, two) = await outcomes(queue, ["k", "k"], payloads=['{"n": 1}', '{"n": 2}'])
    assert (first, one, two) == (second, "enqueued", "existing")
    assert json.loads((await queue.job(first))["payload"]) == {"n": 1}
    rows = await outcomes(queue, ["k", "k"], payloads=['{"n": 3}', '{"n": 4}'], on_conflicts=["replace"] * 2)
    assert rows == [(first, "replaced"), (first, "replaced")]
    assert json.loads((await queue.job(first))["payload"]) == {"n": 4}


async def test_jobs_come_back_in_the_order_given_whatever_the_order_of_their_keys(queue: Any) -> None:
    keys = ["z", None, "a", None, "m", "a"]
    rows = await queue.enqueue_batch(
        ["t"] * 6,
        unique_keys=keys,
        payloads=[json.dumps(n) for n in range(6)],
        queues=[f"q{n}" for n in range(6)],
    )
    assert [row["queue"] for row in rows] == ["q0", "q1", "q2", "q3", "q4", None]
    for number, row in enumerate(rows[:5]):
        stored = await queue.job(row["id"])
        assert (json.loads(stored["payload"]), stored["queue"]) == (number, f"q{number}")
        assert stored["unique_key"] == keys[number]
    ids = [row["id"] for row in rows[:5]]
    assert ids == sorted(ids), "so that jobs ready at once run in the order given"


async def test_an_unknown_policy_is_refused_with_the_known_ones(queue: Any, refused: Any) -> None:
    for key in ("k", None):
        with refused("ES004", "return, replace or reject"):
            await queue.enqueue(unique_key=key, on_conflict="ignore")


async def test_a_key_has_up_to_200_characters(queue: Any) -> None:
    await keyed(queue, "é" * 200)
    for key in ("", "k" * 201):
        with pytest.raises(asyncpg.CheckViolationError, match="job_unique_key_is_short"):
            await keyed(queue, key)


# Declared keys: made of payload fields, for whoever enqueues.


async def test_a_task_declares_of_which_fields_its_key_is_made(queue: Any, refused: Any) -> None:
    await queue.register(unique_fields=["id", "of"], unique_on_conflict="reject")
    job = await queue.enqueue(payload={"of": "x", "id": 1, "rest": 1})
    assert json.loads((await queue.job(job))["unique_key"]) == {"id": 1, "of": "x"}
    with refused("ES003", str(job)):
        await queue.enqueue(payload={"id": 1, "of": "x", "rest": 2})
    await queue.enqueue(payload={"id": "1", "of": "x"})
    assert await keyed(queue, "own", payload={"id": 1, "of": "x"}) != job
    assert await queue.enqueue(payload={"id": 1, "of": "x"}, on_conflict="return") == job
    assert await queue.count("job") == 3


async def test_a_field_that_is_missing_counts_as_null(queue: Any) -> None:
    await queue.register(unique_fields=["id"])
    job = await queue.enqueue(payload={})
    assert await queue.enqueue(payload={"id": None, "rest": 1}) == job
    (row,) = await queue.enqueue_batch(["t"], payloads=["[1]"])
    assert row["id"] == job, "a payload that is no object has no fields"
    assert await queue.enqueue(payload={"id": 0}) != job


async def test_a_long_key_is_kept_as_its_digest(queue: Any) -> None:
    await queue.register(unique_fields=["text"])
    job = await queue.enqueue(payload={"text": "é" * 100_000})
    assert len((await queue.job(job))["unique_key"]) == 64
    assert await queue.enqueue(payload={"text": "é" * 100_000}) == job
    assert await queue.enqueue(payload={"text": "é" * 99_999}) != job


# Expired and ended ones.


@pytest.mark.parametrize("on_conflict", ["return", "replace", "reject"])
async def test_a_job_that_has_expired_is_not_in_the_way(queue: Any, clock: Any, on_conflict: str) -> None:
    await clock.set(queue.connection, when=START)
    late = await keyed(queue, expires_at=START + timedelta(minutes=1))
    await clock.advance(queue.connection, seconds=60)
    ((job, outcome),) = await outcomes(queue, ["k"], on_conflicts=[on_conflict])
    assert (job != late, outcome) == (True, "enqueued")
    assert ((await queue.job(late))["status"], (await queue.job(late))["reason"]) == ("cancelled", "expired")


async def test_a_dead_job_is_not_retried_while_another_has_its_key(queue: Any, refused: Any) -> None:
    job = await dead(queue, unique_key="k")
    await keyed(queue)
    with refused("ES003", 'has the unique key "k", and so has a live job'):
        await queue.call("retry", job)
    assert (await queue.job(job))["status"] == "dead"


async def test_of_many_dead_jobs_with_one_key_one_is_retried_and_the_others_stay(queue: Any) -> None:
    twins = [await dead(queue, unique_key="k") for _ in range(2)]
    blocked, plain, other_plain = (await dead(queue, unique_key="b"), await dead(queue), await dead(queue))
    await keyed(queue, "b")
    retried = [row["id"] for row in await queue.rows("retry_many", [*twins, blocked, plain, other_plain])]
    assert sorted(retried) == sorted([min(twins), plain, other_plain])
    assert [(await queue.job(job))["status"] for job in (max(twins), blocked)] == ["dead", "dead"]
    assert await queue.count("job") == 6


@pytest.mark.parametrize("commits", [True, False])
async def test_a_retry_waits_for_a_key_on_its_way_and_loses_nothing(queue: Any, other: Any, *, commits: bool) -> None:
    jobs = [await dead(queue, unique_key="k"), await dead(queue)]
    transaction = other.connection.transaction()
    await transaction.start()
    await keyed(other)
    retry = asyncio.create_task(queue.rows("retry_many", jobs))
    await other.until_blocked(queue)
    await (transaction.commit() if commits else transaction.rollback())
    assert {row["id"] for row in await retry} == set(jobs[1:] if commits else jobs)
    assert (await queue.job(jobs[0]))["status"] == ("dead" if commits else "queued")


async def test_a_retry_waits_for_a_key_no_longer_than_a_second(queue: Any, other: Any, refused: Any) -> None:
    job = await dead(queue, unique_key="k")
    async with other.connection.transaction():
        await keyed(other)
        with refused("ES007", "about to enqueue"):
            await queue.call("retry", job)
    assert (await queue.job(job))["status"] == "dead"


# Two at once.


async def test_a_key_on_its_way_is_waited_for_a_second_and_delays_nobody_else(
    queue: Any, other: Any, new_queue: Any, refused: Any
) -> None:
    third = await new_queue()
    async with other.connection.transaction():
        await keyed(other)
        late = asyncio.create_task(keyed(queue))
        await other.until_blocked(queue)
        await third.connection.execute("set lock_timeout = '100ms'")
        await keyed(third, "another")
        await third.enqueue()
        with refused("ES007", "about to enqueue a job with the same key"):
            await late
    assert await queue.count("job") == 3


@pytest.mark.parametrize("commits", [True, False])
async def test_a_key_on_its_way_decides_by_how_its_transaction_ends(queue: Any, other: Any, *, commits: bool) -> None:
    transaction = other.connection.transaction()
    await transaction.start()
    job = await keyed(other)
    late = asyncio.create_task(outcomes(queue, [None, "k", "x"]))
    await other.until_blocked(queue)
    await (transaction.commit() if commits else transaction.rollback())
    plain, (answer, outcome), (_, last) = await late
    assert (plain[1], last) == ("enqueued", "enqueued")
    assert (answer == job, outcome) == ((True, "existing") if commits else (False, "enqueued"))
    assert await queue.count("job") == 3


@pytest.mark.parametrize("claimed", [True, False])
async def test_a_replacement_behind_a_claim_comes_too_late_unless_that_rolls_back(
    queue: Any, other: Any, *, claimed: bool
) -> None:
    job = await keyed(queue)
    transaction = other.connection.transaction()
    await transaction.start()
    assert len(await other.claim()) == 1
    late = asyncio.create_task(outcomes(queue, ["k"], atomic=False, on_conflicts=["replace"]))
    await other.until_blocked(queue)
    await (transaction.commit() if claimed else transaction.rollback())
    assert await late == [(job, "unique_conflict" if claimed else "replaced")]
    assert (await queue.job(job))["status"] == ("running" if claimed else "queued")


async def test_a_replacement_behind_a_cancel_is_a_new_job(queue: Any, other: Any) -> None:
    job = await keyed(queue)
    async with other.connection.transaction():
        await other.call("cancel", job)
        late = asyncio.create_task(outcomes(queue, ["k"], on_conflicts=["replace"]))
        await other.until_blocked(queue)
    ((new, outcome),) = await late
    assert (new != job, outcome) == (True, "enqueued")


async def test_a_claim_passes_over_a_job_that_is_being_replaced_and_then_finds_the_new_one(
    queue: Any, other: Any
) -> None:
    job = await keyed(queue)
    async with other.connection.transaction():
        assert await keyed(other, on_conflict="replace", payload={"n": 2}) == job
        assert await queue.claim() == []
    (claimed,) = await queue.claim()
    assert (claimed["id"], json.loads(claimed["payload"])) == (job, {"n": 2})


async def test_a_job_whose_completion_is_under_way_is_the_answer_at_once(queue: Any, other: Any) -> None:
    job = await queue.running(unique_key="k")
    async with queue.connection.transaction():
        assert await queue.call("hold", job, 1)
        assert await queue.complete(job) == [job]
        assert await keyed(other) == job
    assert await keyed(other) != job


async def test_overlapping_batches_that_meet_head_on_are_tried_again(queue: Any, other: Any, new_queue: Any) -> None:
    holder = await new_queue()
    transaction = holder.connection.transaction()
    await transaction.start()
    await keyed(holder, "m")
    one = asyncio.create_task(outcomes(queue, ["b", "m", "a"]))
    await holder.until_blocked(queue)
    two = asyncio.create_task(outcomes(other, ["a", "b"]))
    await holder.until_blocked(other)
    await transaction.rollback()
    assert sorted(outcome for _, outcome in await one + await two) == ["enqueued"] * 3 + ["existing"] * 2
    assert await queue.count("job") == 3


async def test_a_repeatable_read_transaction_is_told_to_run_again(queue: Any, other: Any) -> None:
    transaction = queue.connection.transaction(isolation="repeatable_read")
    await transaction.start()
    await queue.connection.execute("select from esteira.job")
    await keyed(other)
    with pytest.raises(asyncpg.SerializationError, match="run this one again"):
        await keyed(queue)
    await transaction.rollback()
    assert await queue.count("job") == 1
