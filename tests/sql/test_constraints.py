"""No row can be in a state that does not exist."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

WRONG = {
    "status = 'sleeping'": None,
    "status = 'running'": "job_running_has_a_worker",
    "status = 'running', engine = 0": "job_running_has_a_worker",
    "status = 'running', worker_id = id": "job_running_has_a_worker",
    "worker_id = id": "job_running_has_a_worker",
    "engine = 0": "job_running_has_a_worker",
    "status = 'waiting', worker_id = id, engine = 0, started_at = now(), attempt = 1": "job_running_has_a_worker",
    "finished_at = now()": "job_live_has_no_end",
    "attempt = -1": "job_count_is_below_a_billion",
    "failures = -1": "job_count_is_below_a_billion",
    "crashes = 1000000000": "job_count_is_below_a_billion",
    "priority = 4": "job_priority_is_0_to_3",
    "priority = -1": "job_priority_is_0_to_3",
    "queue = ''": "job_queue_is_short",
    "task = repeat('a', 101)": "job_task_is_short",
    "max_attempts = 0": "job_limits_are_positive",
    "retry_first_seconds = -1": "job_limits_are_positive",
    "retry_max_seconds = -1": "job_limits_are_positive",
    "timeout_seconds = 0": "job_limits_are_positive",
    "progress = 1.5": "job_progress_is_a_share",
    "unique_key = ''": "job_unique_key_is_short",
    "unique_key = repeat('k', 201)": "job_unique_key_is_short",
    "expires_at = '2201-01-02 00:00Z'": "job_runs_from_1970_to_2200",
    "metadata = '[]'": "job_metadata_is_an_object",
}


async def test_a_live_job_cannot_be_made_wrong(queue: Any) -> None:
    await queue.enqueue()
    for change, constraint in WRONG.items():
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await queue.connection.execute(f"update esteira.job_live set {change}")
        assert constraint in (None, refused.value.constraint_name), change


def inserting(values: dict[str, str]) -> str:
    return f"insert into esteira.job ({', '.join(values)}) values ({', '.join(values.values())})"


ENDED = {"finished_at": "now()", "reason": "'x'", "error": '\'{"type": "E", "message": "m"}\''}


@pytest.mark.parametrize(
    ("status", "change", "constraint"),
    [
        ("dead", {"reason": "null"}, "job_end_has_a_reason"),
        ("dead", {"error": "null"}, "job_dead_has_an_error"),
        ("dead", {"finished_at": "null"}, "job_end_has_a_time"),
        ("dead", {"result": "'1'"}, "job_result_is_of_a_completed_job"),
        ("cancelled", {"reason": "null"}, "job_cancelled_has_a_reason_and_no_result"),
        ("cancelled", {"finished_at": "null"}, "no partition"),
        ("cancelled", {"result": "'1'"}, "job_cancelled_has_a_reason_and_no_result"),
        ("cancelled", {"result_error": "'x'"}, "job_cancelled_has_a_reason_and_no_result"),
        ("completed", {"finished_at": "null"}, "no partition"),
    ],
)
async def test_a_job_that_ended_has_what_belongs_to_its_end(
    queue: Any, status: str, change: dict[str, str], constraint: str
) -> None:
    values = {"queue": "'q'", "task": "'t'", "status": f"'{status}'", **ENDED}
    await queue.connection.execute(inserting(values))
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await queue.connection.execute(inserting(values | change))


async def test_an_unknown_outcome_of_an_attempt_is_refused_and_the_job_stays_as_it_was(queue: Any) -> None:
    job = await queue.running()
    with pytest.raises(asyncpg.CheckViolationError, match="attempt_outcome_is_known"):
        await queue.fail(job, outcome="bored")
    assert (await queue.job(job))["status"] == "running"


async def test_a_task_is_declared_with_a_policy_that_makes_sense(queue: Any) -> None:
    for policy, constraint in (
        ({"max_attempts": 0}, "task_max_attempts_is_positive"),
        ({"executor": "gpu"}, "task_executor_is_known"),
        ({"unique_fields": ["id"], "unique_on_conflict": "ignore"}, "task_unique_on_conflict_is_known"),
    ):
        with pytest.raises(asyncpg.CheckViolationError, match=constraint):
            await queue.register(**policy)
    assert await queue.count("worker") == 0


async def test_two_live_jobs_of_a_task_cannot_have_one_unique_key_by_whatever_way(queue: Any) -> None:
    await queue.enqueue(unique_key="k")
    await queue.enqueue()
    with pytest.raises(asyncpg.UniqueViolationError, match="job_live_unique"):
        await queue.connection.execute("update esteira.job_live set unique_key = 'k'")
