from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
async def noon(queue: Any, other: Any, clock: Any) -> None:
    await clock.set(queue.connection, other.connection, when=START)


async def edit(session: Any, job: UUID, **changes: Any) -> str:
    named = "".join(f", {name} => ${place}" for place, name in enumerate(changes, start=2))
    status: str = await session.connection.fetchval(f"select esteira.edit($1{named})", job, *changes.values())
    return status


async def state(queue: Any, status: str) -> UUID:
    """Make a job of this status; dead, completed and cancelled ones have run."""
    job: UUID = await queue.enqueue()
    if status == "waiting":
        await queue.connection.execute("update esteira.job_live set status = 'waiting'")
    elif status != "queued":
        await queue.claim()
    if status == "completed":
        await queue.complete(job)
    elif status == "dead":
        await queue.fail(job, retryable=False)
    elif status == "cancelled":
        await queue.call("cancel", job)
        await queue.call("acknowledge_cancel", job, 1)
    return job


async def test_what_is_given_changes_and_the_rest_stays(queue: Any, clock: Any) -> None:
    job = await queue.enqueue(payload={"n": 1}, delay=HOUR, tags=["a"], metadata='{"a": 1}', queue="q", priority="low")
    before = await queue.job(job)
    await clock.advance(queue.connection, seconds=1)
    assert await edit(queue, job, tags=["b"]) == "queued"
    after = await queue.job(job)
    changed = {name for name in before.keys() if before[name] != after[name]}  # noqa: SIM118  # a Record, not a dict
    assert changed == {"tags", "updated_at", "age", "wait"}
    assert (after["tags"], after["updated_at"]) == (["b"], START + timedelta(seconds=1))


async def test_every_argument_reaches_its_column(queue: Any) -> None:
    job = await queue.enqueue()
    changes = {
        "priority": "critical",
        "queue": "q",
        "run_at": START + HOUR,
        "tags": [],
        "metadata": "{}",
        "payload": "2",
    }
    assert await edit(queue, job, **changes) == "queued"
    row = await queue.job(job)
    assert (row["priority"], row["queue"], row["run_at"], row["ready_at"]) == (
        "critical",
        "q",
        START + HOUR,
        START + HOUR,
    )
    assert (row["tags"], json.loads(row["metadata"]), json.loads(row["payload"])) == ([], {}, 2)


@pytest.mark.parametrize("status", ["queued", "waiting", "running", "completed", "dead", "cancelled"])
async def test_each_status_allows_what_still_has_a_meaning(queue: Any, refused: Any, status: str) -> None:
    job = await state(queue, status)
    before = await queue.job(job)
    assert await edit(queue, job, tags=["x"], metadata='{"x": 1}') == status
    row = await queue.job(job)
    assert (row["tags"], row["status"]) == (["x"], status)
    assert (row["run_at"], row["ready_at"]) == (before["run_at"], before["ready_at"])
    for change in ({"priority": "high"}, {"queue": "q"}, {"run_at": START + HOUR}, {"payload": "1"}):
        if status in ("queued", "waiting"):
            assert await edit(queue, job, **change) == status
        else:
            with refused("ES002", "stay" if "payload" not in change else "has begun"):
                await edit(queue, job, **change)


async def test_a_job_between_two_attempts_can_be_moved_but_keeps_its_payload(queue: Any, refused: Any) -> None:
    job = await queue.running(retry_first=timedelta(hours=9))
    await queue.fail(job)
    with refused("ES002", "has begun, so its payload stays"):
        await edit(queue, job, payload="1")
    assert await edit(queue, job, run_at=START) == "queued"
    assert [row["attempt"] for row in await queue.claim()] == [2]


async def test_a_run_at_in_the_past_becomes_now(queue: Any, clock: Any) -> None:
    job = await queue.enqueue(delay=HOUR)
    await clock.advance(queue.connection, seconds=60)
    await edit(queue, job, run_at=START - HOUR)
    row = await queue.job(job)
    assert row["run_at"] == row["ready_at"] == START + timedelta(seconds=60)


async def test_a_scheduled_job_that_changes_its_lane_runs_at_its_time(queue: Any) -> None:
    job = await queue.enqueue(delay=HOUR)
    await edit(queue, job, queue="q", priority="high")
    row = await queue.job(job)
    assert row["run_at"] == row["ready_at"] == START + HOUR


@pytest.mark.parametrize(("change", "lane"), [({"queue": "q"}, ("q", 1)), ({"priority": "high"}, ("default", 2))])
async def test_a_job_lands_above_every_floor_of_its_new_lane(
    queue: Any, clock: Any, change: dict[str, str], lane: tuple[str, int]
) -> None:
    job = await queue.enqueue()
    await clock.advance(queue.connection, seconds=60)
    await queue.enqueue(queue=lane[0], priority="high" if lane[1] == 2 else "normal")
    (newer,) = await queue.claim(lanes=[lane])
    await clock.advance(queue.connection, seconds=1)
    await edit(queue, job, **change)
    floor = (newer["ready_at"].isoformat(), newer["id"])
    assert [row["id"] for row in await queue.claim(lanes=[lane], floor=floor)] == [job]


async def test_the_key_that_was_made_of_a_payload_follows_it(queue: Any, refused: Any) -> None:
    await queue.register(unique_fields=["id"], unique_on_conflict="reject")
    job = await queue.enqueue(payload={"id": 1})
    await queue.enqueue(payload={"id": 2})
    await edit(queue, job, payload='{"id": 3}')
    await queue.enqueue(payload={"id": 1})
    with refused("ES003", '"id": 3'):
        await queue.enqueue(payload={"id": 3})
    with refused("ES003", f"job {job} would have the unique key"):
        await edit(queue, job, payload='{"id": 2}')
    own = await queue.enqueue(payload={"id": 9}, unique_key="own")
    await edit(queue, own, payload='{"id": 8}', tags=["x"])
    assert (await queue.job(own))["unique_key"] == "own"


async def test_an_edit_of_what_has_changed_meanwhile_is_refused(queue: Any, clock: Any, refused: Any) -> None:
    job = await queue.running()
    seen = (await queue.job(job))["updated_at"]
    assert await edit(queue, job, tags=["a"], unchanged_since=seen) == "running"
    await clock.advance(queue.connection, seconds=1)
    await queue.call("progress", job, 1, 0.5, None, None)
    with refused("ES008", "has changed meanwhile"):
        await edit(queue, job, tags=["b"], unchanged_since=seen)
    assert (await queue.job(job))["tags"] == ["a"]


async def test_what_makes_no_sense_is_refused_and_changes_nothing(queue: Any, refused: Any) -> None:
    job = await queue.enqueue()
    before = await queue.job(job)
    for change, match in (({"queue": "a b"}, "is no name"), ({"priority": "urgent"}, "low, normal, high or critical")):
        with refused("ES004", match):
            await edit(queue, job, **change)
    for change in ({"metadata": "[]"}, {"run_at": datetime(2201, 1, 2, tzinfo=UTC)}):
        with pytest.raises(asyncpg.CheckViolationError):
            await edit(queue, job, **change)
    assert await queue.job(job) == before


async def test_an_unknown_job_cannot_be_edited(queue: Any, refused: Any) -> None:
    with refused("ES001", "no job"):
        await edit(queue, uuid4(), tags=[])


async def test_an_edit_behind_a_completion_finds_the_job_where_it_went(queue: Any, other: Any) -> None:
    job = await queue.running()
    async with queue.connection.transaction():
        await queue.complete(job)
        late = asyncio.create_task(edit(other, job, tags=["x"]))
        await queue.until_blocked(other)
    assert await late == "completed"
    assert (await queue.job(job))["tags"] == ["x"]


async def test_an_edit_behind_a_claim_is_one_of_a_running_job(queue: Any, other: Any, refused: Any) -> None:
    job = await queue.enqueue()
    async with queue.connection.transaction():
        assert len(await queue.claim()) == 1
        late = asyncio.create_task(edit(other, job, priority="high"))
        await queue.until_blocked(other)
    with refused("ES002", "is running"):
        await late
    assert (await queue.job(job))["priority"] == "normal"


async def test_a_claim_passes_over_a_job_that_is_being_edited(queue: Any, other: Any) -> None:
    job = await queue.enqueue()
    async with other.connection.transaction():
        await edit(other, job, payload='{"n": 2}')
        assert await queue.claim() == []
    assert [json.loads(row["payload"]) for row in await queue.claim()] == [{"n": 2}]


async def test_an_edit_waits_two_seconds_for_a_completing_transaction(queue: Any, other: Any, refused: Any) -> None:
    job = await queue.running()
    async with queue.connection.transaction():
        assert await queue.call("hold", job, 1)
        with refused("ES002", "being changed by another transaction; try again"):
            await edit(other, job, tags=["x"])
    assert await edit(other, job, tags=["x"]) == "running"


async def test_progress_does_not_wait_for_an_edit(queue: Any, other: Any) -> None:
    job = await queue.running()
    await queue.connection.execute("set lock_timeout = '2s'")
    async with other.connection.transaction():
        await edit(other, job, tags=["x"])
        assert await queue.call("progress", job, 1, 0.5, None, None)
        assert await queue.call("cancel", job) == "running"
