"""One owner, Fence, Justified restart: each is seen to fail."""

from __future__ import annotations

from uuid import uuid4

import pytest

from esteira.history import Ledger
from tests.sql.conftest import Queue
from tests.unit.history.conftest import First, NewQueue

# The fence is gone: it looks, but holds no lock.
SAVE_STEP_WITHOUT_LOCK = """
create or replace function esteira.save_step(
    job_id uuid, attempt integer, name text, result jsonb, started_at timestamptz, progress real default null
) returns boolean language sql as $$
insert into esteira.step
select save_step.job_id, save_step.name, save_step.attempt, save_step.result, save_step.started_at, esteira.now()
where exists (
    select from esteira.job_live as job
    where job.id = save_step.job_id and job.attempt = save_step.attempt and job.status = 'running')
returning true
$$"""
# Whoever names the id settles.
COMPLETE_BY_ID = """
create or replace function esteira.complete(
    ids uuid[], attempts integer[], results jsonb[] default null, result_errors text[] default null
) returns setof uuid language sql as $$
with gone as (delete from esteira.job_live where id = any (ids) returning *)
insert into esteira.job_finished (
    id, queue, task, status, attempt, worker_id, engine, run_at, ready_at, started_at, finished_at)
select id, queue, task, 'completed', attempt, worker_id, engine, run_at, ready_at, started_at, esteira.now()
from gone returning id
$$"""
CLAIM_THE_THIRD = "status = 'running', attempt = 3, started_at = now(), worker_id = gen_random_uuid(), engine = 0"
RUN_AGAIN = (
    "update esteira.job_live set attempt = attempt + 1, worker_id = $2, started_at = esteira.now() where id = $1"
)


async def test_an_attempt_that_is_claimed_while_another_runs_breaks_one_owner(queue: Queue, first: First) -> None:
    job = await queue.running()
    assert await first() is None
    await queue.connection.execute(RUN_AGAIN, job, uuid4())
    assert await first() == ("One owner", job, "attempt 2 was claimed while attempt 1 still ran")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (CLAIM_THE_THIRD, "attempt 3 was claimed after attempt 1"),
        ("attempt = 7", "the attempt went from 1 to 7 without a claim"),
    ],
)
async def test_an_attempt_that_is_not_one_more_breaks_one_owner(
    queue: Queue, first: First, change: str, sentence: str
) -> None:
    job = await queue.running()
    await queue.call("release", [job], [1])
    await queue.connection.execute(f"update esteira.job_live set {change} where id = $1", job)
    assert await first() == ("One owner", job, sentence)


async def test_an_attempt_that_changes_hands_breaks_one_owner(queue: Queue, first: First) -> None:
    job = await queue.running()
    await queue.connection.execute("update esteira.job_live set engine = 5 where id = $1", job)
    thief = f"attempt 1 went from worker {queue.worker}/0 to {queue.worker}/5 without a claim"
    assert await first() == ("One owner", job, thief)


async def test_an_attempt_that_begins_twice_breaks_one_owner(queue: Queue, first: First, ledger: Ledger) -> None:
    job = await queue.running()
    for _ in range(2):
        ledger.note("began", job_id=str(job), attempt=1)
    invariant = await first(ledger=ledger.path, whole_ledger=False)
    assert invariant == ("One owner", job, "attempt 1 began twice, as line 2 of the ledger says")


async def test_an_attempt_that_begins_unclaimed_breaks_one_owner(queue: Queue, first: First, ledger: Ledger) -> None:
    job = await queue.running()
    ledger.note("began", job_id=str(job), attempt=2)
    found = await first(ledger=ledger.path, whole_ledger=False)
    assert found == ("One owner", job, "attempt 2 began and was never claimed, as line 1 of the ledger says")


async def test_a_step_of_an_attempt_that_is_over_breaks_the_fence(queue: Queue, first: First) -> None:
    job = await queue.running()
    await queue.call("save_step", job, 1, "in time", "1", await queue.call("now"), None)
    await queue.call("release", [job], [1])
    await queue.claim()
    assert await first() is None
    await queue.connection.execute("insert into esteira.step values ($1, 'late', 1, '1', now(), now())", job)
    assert await first() == ("Fence", job, 'attempt 1 stored the step "late" when attempt 2 ran')


async def test_an_end_of_an_attempt_that_is_over_breaks_the_fence(queue: Queue, first: First) -> None:
    job = await queue.running()
    await queue.complete(job)
    late = "insert into esteira.attempt values ($1, 1, 'failed', null, null, $2, 0, now(), now())"
    await queue.connection.execute(late, job, queue.worker)
    assert await first() == ("Fence", job, "attempt 1 stored its end (failed) when the job was completed")


async def test_a_step_that_is_committed_after_the_next_claim_breaks_the_fence(
    queue: Queue, other: Queue, first: First
) -> None:
    await queue.connection.execute(SAVE_STEP_WITHOUT_LOCK)
    job = await queue.running()
    zombie = other.connection.transaction()
    await zombie.start()
    assert await other.call("save_step", job, 1, "slow", "1", await queue.call("now"), None)
    await queue.call("release", [job], [1])
    await queue.claim()
    await zombie.commit()
    assert await first() == ("Fence", job, 'the step "slow" of attempt 1 was committed after the attempt was over')


async def test_a_settle_by_id_alone_breaks_the_fence(new_queue: NewQueue, queue: Queue, first: First) -> None:
    await queue.connection.execute(COMPLETE_BY_ID)
    zombie, winner = uuid4(), uuid4()
    slow, quick = [await new_queue(f"esteira/{worker}/0", worker) for worker in (zombie, winner)]
    job = await slow.running()
    await slow.call("release", [job], [1])
    await quick.claim()
    await slow.complete(job)
    stored = f"the completion of attempt 2 was stored by esteira/{zombie}/0, and the attempt ran in esteira/{winner}/0"
    assert await first() == ("Fence", job, stored)


async def test_a_completion_by_its_own_engine_keeps_the_fence(new_queue: NewQueue, first: First) -> None:
    worker = uuid4()
    engine = await new_queue(f"esteira/{worker}/0", worker)
    await engine.complete(await engine.running())
    assert await first() is None


async def test_a_restart_that_nothing_explains_breaks_justified_restart(queue: Queue, first: First) -> None:
    job = await queue.running()
    by_hand = "update esteira.job_live set status = 'queued', worker_id = null, engine = null where id = $1"
    await queue.connection.execute(by_hand, job)
    assert await first() is None
    await queue.claim()
    sentence = "attempt 2 was claimed, and nothing says how attempt 1 ended"
    assert await first() == ("Justified restart", job, sentence)
