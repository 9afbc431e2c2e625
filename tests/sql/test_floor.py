from __future__ import annotations

from typing import Any
from uuid import UUID

BATCH = 500


def pair(row: Any) -> tuple[str, UUID]:
    return row["ready_at"].isoformat(), row["id"]


async def drain(queue: Any, floor: tuple[str, UUID]) -> tuple[list[UUID], int]:
    """Claim batch after batch as an engine does, from its floor; give the jobs, and how many claims found some."""
    taken: list[UUID] = []
    claims = 0
    while rows := await queue.claim(BATCH, floor=floor):
        taken += [row["id"] for row in rows]
        claims += 1
        floor = pair(rows[-1])
    return taken, claims


async def test_ten_thousand_jobs_committed_late_below_the_floor_are_swept_up_at_full_speed(
    queue: Any, other: Any
) -> None:
    late = other.connection.transaction()
    await late.start()
    jobs = await other.enqueue_many(10_000)
    await queue.enqueue()
    (newer,) = await queue.claim()
    await late.commit()

    assert await drain(queue, pair(newer)) == ([], 0), "they lie below the floor"
    sweep = await queue.claim(BATCH)
    lowered = pair(sweep[0])
    taken, claims = await drain(queue, lowered)
    assert claims == (len(jobs) - BATCH) // BATCH, "every claim after the sweep is full"
    assert sorted([row["id"] for row in sweep] + taken) == sorted(jobs)


async def test_jobs_that_tie_on_their_time_are_paged_by_time_and_id_each_once(queue: Any) -> None:
    jobs = await queue.enqueue_many(2_200)
    assert await queue.connection.fetchval("select count(distinct ready_at) from esteira.job_live") == 1
    taken, claims = await drain(queue, ("-infinity", UUID(int=0)))
    assert claims == 5
    assert len(taken) == len(set(taken)) == len(jobs)


async def test_a_job_put_back_comes_to_stand_above_every_floor(queue: Any) -> None:
    job = await queue.running()
    await queue.enqueue()
    (newer,) = await queue.claim()
    assert await queue.call("release", [job], [1]) == 1
    assert [row["id"] for row in await queue.claim(floor=pair(newer))] == [job]


async def test_each_lane_has_its_own_floor(queue: Any) -> None:
    first = await queue.enqueue(queue="a")
    second = await queue.enqueue(queue="b")
    high, low = "2100-01-01T00:00:00+00:00", "-infinity"
    rows = await queue.connection.fetch(
        "select id from esteira.claim("
        "$1, 0, 9, '{t}', '{a,b}', '{1,1}', $2::text[]::timestamptz[], array[$3, $3]::uuid[])",
        queue.worker,
        [high, low],
        UUID(int=0),
    )
    assert [row["id"] for row in rows] == [second]
    assert (await queue.job(first))["status"] == "queued"
