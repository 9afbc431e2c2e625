"""drain: a worker is asked to stop and learns of it with its next heartbeat."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)


async def state(queue: Any) -> str:
    found: str = await queue.connection.fetchval("select state from esteira.worker_status where id = $1", queue.worker)
    return found


async def test_a_worker_hears_with_its_next_beat_that_it_is_to_drain_and_the_others_do_not(
    queue: Any, other: Any, clock: Any
) -> None:
    await clock.set(queue.connection, when=START)
    await queue.register()
    await other.register()
    assert [row["draining"] for row in await queue.rows("heartbeat", queue.worker)] == [False]
    assert await queue.call("drain", queue.worker) == START
    await clock.advance(queue.connection, seconds=1)
    assert await queue.call("drain", queue.worker) == START
    assert [row["draining"] for row in await queue.rows("heartbeat", queue.worker)] == [True]
    assert [row["draining"] for row in await other.rows("heartbeat", other.worker)] == [False]
    assert (await state(queue), await state(other)) == ("draining", "alive")


async def test_a_draining_worker_keeps_its_lease_and_its_jobs_until_it_leaves(queue: Any) -> None:
    await queue.register()
    job = await queue.running()
    await queue.call("drain", queue.worker)
    assert await queue.complete(job) == [job]
    assert await queue.call("retire", queue.worker) == 0
    assert await state(queue) == "stopped"


@pytest.mark.parametrize("gone", ["retire", "rescue", "never_there"])
async def test_a_worker_that_is_not_there_cannot_be_drained(queue: Any, refused: Any, gone: str) -> None:
    await queue.register()
    if gone != "never_there":
        await queue.call(gone, queue.worker)
    worker = uuid4() if gone == "never_there" else queue.worker
    with refused("ES010", f"no worker {worker} is there to be drained"):
        await queue.call("drain", worker)
