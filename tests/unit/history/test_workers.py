"""No false loss is seen to fail."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.sql.conftest import Queue
from tests.unit.history.conftest import Check, First

RESCUE_BY_TIME = """
create or replace function esteira.tick(lease integer default 6, thorough boolean default true) returns integer
language sql as $$
select coalesce(sum(esteira.rescue(worker.id)), 0)::integer
from esteira.worker as worker
where worker.lost_at is null and worker.beat_at < esteira.now() - make_interval(secs => lease)
$$"""


async def tick(queue: Queue, times: int, seconds: float = 1) -> None:
    """Let so many ticks come, so far apart."""
    for _ in range(times):
        later = await queue.call("now") + timedelta(seconds=seconds)
        await queue.connection.execute("select set_config('esteira.fake_now', $1, false)", str(later))
        await queue.call("tick")


async def test_a_worker_that_is_silent_for_its_lease_is_given_up_in_good_order(queue: Queue, first: First) -> None:
    await queue.register()
    job = await queue.running()
    await queue.rows("heartbeat", queue.worker)
    await tick(queue, 7)
    assert (await queue.attempts(job)) == [(1, "lost")]
    assert await first() is None


async def test_a_worker_that_beats_and_is_given_up_breaks_no_false_loss(queue: Queue, report: Check) -> None:
    await queue.register()
    for _ in range(3):
        await tick(queue, 3)
        await queue.rows("heartbeat", queue.worker)
    await queue.call("rescue", queue.worker)
    found = (await report()).violation
    assert found is not None
    assert (found.invariant, found.job_id) == ("No false loss", None)
    assert found.sentence == f"worker {queue.worker} was given up after 0 silent ticks; its lease is 6"
    assert [line.split("  ")[1] for line in (found.story[0], found.story[-1])] == [
        "registered: beats 0, missed ticks 0",
        "changed: beats 3, missed ticks 2, lost",
    ]


async def test_a_rescue_by_wall_time_breaks_no_false_loss(queue: Queue, first: First) -> None:
    await queue.connection.execute(RESCUE_BY_TIME)
    await queue.register()
    await queue.rows("heartbeat", queue.worker)
    await tick(queue, 1, seconds=3600)
    found = await first()
    assert found == ("No false loss", None, f"worker {queue.worker} was given up after 0 silent ticks; its lease is 6")


@pytest.mark.parametrize(("seconds", "counted"), [(0.1, 1), (1, 5)])
async def test_ticks_count_once_a_second(queue: Queue, first: First, seconds: float, counted: int) -> None:
    await queue.register()
    await queue.rows("heartbeat", queue.worker)
    # The first of them sees the beat.
    await tick(queue, 1)
    for _ in range(5):
        later = await queue.call("now") + timedelta(seconds=seconds)
        await queue.connection.execute("select set_config('esteira.fake_now', $1, false)", str(later))
        # As a tick that counts each time that it is called.
        await queue.connection.execute("update esteira.worker set missed_ticks = missed_ticks + 1")
    await queue.call("rescue", queue.worker)
    told = f"worker {queue.worker} was given up after {counted} silent ticks; its lease is 6"
    assert await first() == ("No false loss", None, told)
    assert (await first(lease=counted)) is None
