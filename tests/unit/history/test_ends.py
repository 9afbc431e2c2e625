"""One end, Cancel, No loss: each is seen to fail."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from esteira.history import Ledger
from tests.sql.conftest import Queue
from tests.unit.history.conftest import Check, First

QUEUED = "status = 'queued', finished_at = null, worker_id = null, engine = null, result = null"


async def ended(queue: Queue, how: str) -> UUID:
    job = await queue.running()
    if how == "completed":
        await queue.complete(job)
    elif how == "dead":
        await queue.fail(job, retryable=False)
    else:
        await queue.call("cancel", job)
        await queue.call("acknowledge_cancel", job, 1)
    return job


@pytest.mark.parametrize(
    ("how", "invariant", "sentence"),
    [
        ("completed", "One end", "it was completed and became queued"),
        ("dead", "One end", "it was dead and became queued"),
        ("cancelled", "Cancel", "it was cancelled and became queued without a retry"),
    ],
)
async def test_an_end_that_does_not_last_is_noticed(
    queue: Queue, first: First, how: str, invariant: str, sentence: str
) -> None:
    job = await ended(queue, how)
    assert await first(drained=True) is None
    await queue.connection.execute(f"update esteira.job set {QUEUED} where id = $1", job)
    assert await first() == (invariant, job, sentence)


async def test_a_second_end_breaks_one_end(queue: Queue, first: First) -> None:
    job = await ended(queue, "dead")
    await queue.connection.execute("update esteira.job set status = 'completed' where id = $1", job)
    assert await first() == ("One end", job, "it was dead and became completed")


async def test_a_generation_without_a_retry_breaks_one_end(queue: Queue, first: First) -> None:
    job = await queue.enqueue()
    await queue.connection.execute("update esteira.job set generation = 2 where id = $1", job)
    assert await first() == ("One end", job, "it went from generation 1 to 2 while it was queued")


async def test_retries_of_the_dead_and_the_cancelled_are_in_order(queue: Queue, first: First) -> None:
    for how in ("dead", "cancelled"):
        job = await ended(queue, how)
        await queue.call("retry", job)
        await queue.claim()
        await queue.complete(job, attempt=2)
    assert await first(drained=True) is None


async def test_a_job_that_was_asked_to_stop_and_is_claimed_again_breaks_cancel(queue: Queue, first: First) -> None:
    job = await queue.running()
    await queue.call("cancel", job)
    await queue.connection.execute("delete from esteira.activity")
    await queue.call("release", [job], [1])
    await queue.claim()
    assert await first() == ("Cancel", job, "attempt 2 was claimed after somebody asked it to stop in attempt 1")


async def test_a_cancel_that_was_acknowledged_and_never_was_breaks_cancel(
    queue: Queue, first: First, ledger: Ledger
) -> None:
    kept, lost = await queue.enqueue_many(2)
    await queue.call("cancel", kept)
    for job in (kept, lost):
        ledger.cancelled(job, "cancelled")
    told = "the ledger knows 1 cancels that were acknowledged, and it was cancelled 0 times"
    assert await first(ledger=ledger.path, whole_ledger=False) == ("Cancel", lost, told)


async def test_a_request_to_stop_that_was_acknowledged_and_never_was_breaks_cancel(
    queue: Queue, first: First, ledger: Ledger
) -> None:
    job = await queue.running()
    ledger.cancelled(job, "running")
    told = "somebody was told that it was asked to stop, and it never was"
    assert await first(ledger=ledger.path, whole_ledger=False) == ("Cancel", job, told)


async def test_an_acknowledged_job_that_is_nowhere_is_lost(first: First, ledger: Ledger) -> None:
    gone = uuid4()
    with ledger.request() as request:
        request.acknowledged(gone)
    told = "it was acknowledged (line 2 of the ledger), and it is nowhere"
    assert await first(ledger=ledger.path) == ("No loss", gone, told)


async def test_a_job_that_vanishes_is_lost(queue: Queue, first: First) -> None:
    job = await queue.enqueue()
    await queue.connection.execute("set session_replication_role = replica")
    await queue.connection.execute("delete from esteira.job")
    assert await first() == ("No loss", job, "it was queued, and it is gone")


async def test_a_job_that_has_not_ended_is_lost_once_all_is_drained(queue: Queue, report: Check) -> None:
    job = await queue.enqueue()
    assert (await report()).violation is None
    found = (await report(drained=True)).violation
    assert found is not None
    assert (found.invariant, found.job_id) == ("No loss", job)
    assert found.sentence == "all is said to be drained, and it is queued"
