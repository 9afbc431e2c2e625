"""Effects is seen to fail."""

from __future__ import annotations

from uuid import UUID

import pytest

from esteira.errors import ConfigurationError
from esteira.history import Effects, Ledger
from tests.sql.conftest import Queue
from tests.unit.history.conftest import Check, First

TABLE = 'create table public."an effect" (job_id uuid, attempt integer, step text)'
EFFECTS = Effects('public."an effect"', frozenset({"t"}))


async def effect(queue: Queue, job: UUID, attempt: int = 1, step: str | None = None) -> None:
    await queue.connection.execute('insert into "an effect" values ($1, $2, $3)', job, attempt, step)


@pytest.fixture
async def job(queue: Queue) -> UUID:
    """A job that runs for the first time."""
    await queue.connection.execute(TABLE)
    return await queue.running()


async def test_an_effect_of_each_completion_and_each_step_is_in_order(queue: Queue, job: UUID, first: First) -> None:
    await queue.call("save_step", job, 1, "charge", "1", await queue.call("now"), None)
    await effect(queue, job, step="charge")
    await effect(queue, job)
    await queue.complete(job)
    assert await first(effects=EFFECTS) is None


async def test_an_effect_that_is_there_twice_is_noticed(queue: Queue, job: UUID, first: First) -> None:
    for _ in range(2):
        await effect(queue, job)
    await queue.complete(job)
    assert await first(effects=EFFECTS) == ("Effects", job, "the effect of attempt 1 is there 2 times")


async def test_an_effect_of_an_attempt_that_lost_is_noticed(queue: Queue, job: UUID, first: First) -> None:
    await effect(queue, job)
    await queue.call("release", [job], [1])
    await queue.claim()
    await effect(queue, job, 2)
    await queue.complete(job, attempt=2)
    loser = "the effect of attempt 1 is there, and attempt 2 completed"
    assert await first(effects=EFFECTS) == ("Effects", job, loser)


async def test_an_effect_of_a_job_that_did_not_complete_is_noticed(queue: Queue, job: UUID, first: First) -> None:
    await effect(queue, job)
    await queue.fail(job, retryable=False)
    early = "the effect of attempt 1 is there, and the job is dead"
    assert await first(effects=EFFECTS) == ("Effects", job, early)


async def test_an_effect_that_is_missing_is_noticed_of_the_tasks_that_write_one(
    queue: Queue, job: UUID, first: First
) -> None:
    await queue.complete(job)
    missing = "attempt 1 completed, and its effect is not there"
    assert await first(effects=EFFECTS) == ("Effects", job, missing)
    assert await first(effects=Effects(EFFECTS.table)) is None


async def test_an_effect_without_its_step_is_noticed(queue: Queue, job: UUID, first: First) -> None:
    await effect(queue, job, step="charge")
    alone = 'the effect of step "charge" of attempt 1 is there, and no such step was stored'
    assert await first(effects=EFFECTS) == ("Effects", job, alone)


async def test_a_step_without_its_effect_is_noticed(queue: Queue, job: UUID, first: First) -> None:
    twin = await queue.running()
    for each in (job, twin):
        await queue.call("save_step", each, 1, "charge", "1", await queue.call("now"), None)
    await effect(queue, twin, step="charge")
    missing = 'attempt 1 stored the step "charge", and its effect is not there'
    assert await first(effects=EFFECTS) == ("Effects", job, missing)


async def test_an_effect_that_was_said_to_be_committed_by_a_loser_is_noticed(
    queue: Queue, job: UUID, first: First, ledger: Ledger
) -> None:
    ledger.note("effect_committed", job_id=str(job), attempt=1)
    told = "attempt 1 was told that it had committed (line 1 of the ledger), and the job is running"
    assert await first(effects=EFFECTS, ledger=ledger.path, whole_ledger=False) == ("Effects", job, told)


async def test_an_effect_of_a_job_that_never_was_is_noticed_and_one_of_long_ago_is_not(
    queue: Queue, job: UUID, first: First
) -> None:
    await effect(queue, old := UUID("01970000-0000-7000-8000-000000000000"))
    assert await first(effects=EFFECTS) is None
    await effect(queue, new := UUID("ffff0000-0000-7000-8000-000000000000"))
    never = "the effect of attempt 1 is there, and there never was such a job"
    assert await first(effects=EFFECTS) == ("Effects", new, never)
    assert old < new


async def test_a_table_that_is_none_of_effects_is_refused(queue: Queue, report: Check) -> None:
    for table in ("no_such", "esteira.task", "not a name"):
        with pytest.raises(ConfigurationError, match="job_id and attempt"):
            await report(effects=Effects(table))
