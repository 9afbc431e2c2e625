"""Time is seen to fail."""

from __future__ import annotations

from datetime import timedelta

from tests.sql.conftest import Queue
from tests.unit.history.conftest import First

CLAIM = """
update esteira.job_live
set status = 'running', attempt = attempt + 1, worker_id = gen_random_uuid(), engine = 0, started_at = esteira.now()"""


async def test_a_job_that_is_claimed_before_it_is_due_breaks_time(queue: Queue, first: First) -> None:
    job = await queue.enqueue(delay=timedelta(hours=1))
    await queue.connection.execute(CLAIM)
    found = await first()
    assert found is not None
    assert found[:2] == ("Time", job)
    assert "attempt 1 was claimed 359" in found[2]
    assert "s before it was due" in found[2]


async def test_a_job_that_is_claimed_after_it_has_expired_breaks_time(queue: Queue, first: First) -> None:
    job = await queue.enqueue(expires_at=await queue.call("now") + timedelta(hours=1))
    await queue.connection.execute(CLAIM.replace("esteira.now()", "expires_at + interval '2 s'"))
    assert await first() == ("Time", job, "it was claimed 2.000 s after it had expired")


async def test_a_job_that_had_begun_may_begin_again_after_it_has_expired(queue: Queue, first: First) -> None:
    now = await queue.call("now")
    job = await queue.running(expires_at=now + timedelta(minutes=1))
    await queue.connection.execute("select set_config('esteira.fake_now', $1, false)", str(now + timedelta(hours=1)))
    await queue.fail(job)
    await queue.connection.execute("select set_config('esteira.fake_now', $1, false)", str(now + timedelta(hours=3)))
    assert len(await queue.claim()) == 1
    assert await first() is None
