from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_failed_job_goes_back_to_its_queue_after_the_backoff_with_its_error(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    job = await queue.running(retry_first=timedelta(seconds=10))
    assert await queue.fail(job) == "queued"
    row = await queue.job(job)
    assert (row["failures"], row["attempt"], row["worker_id"], row["engine"]) == (1, 1, None, None)
    assert START <= row["run_at"] == row["ready_at"] <= START + timedelta(seconds=10)
    error = json.loads(row["error"])
    assert (error["type"], error["message"], error["attempt"]) == ("ValueError", "no", 1)
    assert datetime.fromisoformat(error["at"]) == START


async def test_the_attempt_keeps_the_evidence(queue: Any) -> None:
    await queue.register()
    job = await queue.running()
    await queue.fail(job, outcome="timed_out")
    row = await queue.connection.fetchrow("select * from esteira.attempt")
    assert (row["job_id"], row["attempt"], row["outcome"], row["traceback"]) == (job, 1, "timed_out", "Traceback")
    assert (row["worker_id"], row["engine"], json.loads(row["error"])["type"]) == (queue.worker, 0, "ValueError")
    assert row["started_at"] <= row["finished_at"]


async def test_the_last_failure_is_dead(queue: Any) -> None:
    job = await queue.running(max_attempts=2, retry_max=timedelta(0))
    assert await queue.fail(job) == "queued"
    await queue.claim()
    assert await queue.fail(job, 2) == "dead"
    row = await queue.job(job)
    assert (row["reason"], row["failures"], row["finished_at"] is not None) == ("attempts_exhausted", 2, True)
    assert await queue.attempts(job) == [(1, "failed"), (2, "failed")]
    assert (await queue.count("job_live"), await queue.count("activity")) == (0, 0)


async def test_what_cannot_be_retried_is_dead_at_once(queue: Any) -> None:
    job = await queue.running()
    assert await queue.fail(job, retryable=False) == "dead"
    assert (await queue.job(job))["reason"] == "not_retryable"


async def test_a_task_policy_says_how_often_unless_the_job_does(queue: Any) -> None:
    await queue.register(max_attempts=1)
    assert await queue.fail(await queue.running()) == "dead"
    assert await queue.fail(await queue.running(max_attempts=2)) == "queued"


@pytest.mark.parametrize("retryable", [True, False])
async def test_a_cancel_that_was_asked_for_beats_retry_and_dead_letter(queue: Any, retryable: bool) -> None:  # noqa: FBT001
    job = await queue.running()
    await queue.call("cancel", job)
    assert await queue.fail(job, retryable=retryable) == "cancelled"
    assert (await queue.job(job))["reason"] == "cancelled"


async def test_the_backoff_doubles_up_to_its_longest_and_is_spread_over_all_of_it(queue: Any) -> None:
    for failures, longest in ((1, 5), (2, 10), (3, 20), (11, 3600), (1_000_000, 3600)):
        low, high, mean = await queue.connection.fetchrow(
            "select min(wait), max(wait), avg(wait) from ("
            " select extract(epoch from esteira.backoff($1, 5, 3600))::float as wait from generate_series(1, 2000)"
            ") as drawn",
            failures,
        )
        assert 0 <= low < longest * 0.05
        assert longest * 0.95 < high <= longest
        assert longest * 0.45 < mean < longest * 0.55


async def test_an_error_that_no_reader_understands_is_refused(queue: Any) -> None:
    job = await queue.running()
    for error in ("{}", "null", "[1]", '{"type": 5, "message": null}'):
        with pytest.raises(asyncpg.PostgresError, match="an error is an object") as refused:
            await queue.connection.fetch("select esteira.fail($1, 1, $2)", job, error)
        assert refused.value.sqlstate == "ES004"


async def test_the_longest_backoff_is_a_year(queue: Any) -> None:
    pause = "select max(esteira.backoff(40, 9e15, 9e15)) between '1 day' and '365 days' from generate_series(1, 50)"
    assert await queue.connection.fetchval(pause)
