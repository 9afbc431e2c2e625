"""What an operator does to running workers: pause, resume, drain, expire."""

from __future__ import annotations

import time

from tests.system.conftest import StartWorker
from tests.worker.processes import Jobs, eventually

SUM = {"a": 1, "b": 2}


def claimed_after(jobs: Jobs, job_id: str, since: float) -> float:
    """Return how many seconds after that moment (monotonic) the job was seen to have ended."""
    jobs.ended(job_id)
    return time.monotonic() - since


def test_paused_work_is_not_claimed_and_resumed_work_is_at_once(jobs: Jobs, start_worker: StartWorker) -> None:
    start_worker()
    jobs.ended(jobs.enqueue("t.add", SUM))
    jobs.sql("select esteira.pause('default')")
    paused = jobs.enqueue("t.add", SUM)
    elsewhere = jobs.enqueue("t.add", SUM, queue="elsewhere")
    jobs.ended(elsewhere)
    assert jobs.get(paused)["status"] == "queued"
    assert jobs.sql("select code from esteira.explain(%s)", paused) == [{"code": "paused"}]
    assert jobs.sql("select esteira.resume('default') as was") == [{"was": True}]
    assert claimed_after(jobs, paused, time.monotonic()) < 0.7, "a sweep found it, not the notification"


def test_a_paused_task_waits_in_whatever_queue_while_others_go_on(jobs: Jobs, start_worker: StartWorker) -> None:
    start_worker()
    jobs.ended(jobs.enqueue("t.add", SUM))
    jobs.sql("select esteira.pause_task('t.add')")
    paused = [jobs.enqueue("t.add", SUM), jobs.enqueue("t.add", SUM, queue="elsewhere")]
    jobs.ended(jobs.enqueue("t.sleep", {"seconds": 0}))
    assert [jobs.get(job_id)["attempt"] for job_id in paused] == [0, 0]
    jobs.sql("select esteira.resume_task('t.add')")
    for job_id in paused:
        assert jobs.ended(job_id)["status"] == "completed"


def test_a_worker_asked_to_drain_finishes_what_it_runs_and_leaves(jobs: Jobs, start_worker: StartWorker) -> None:
    worker = start_worker(slots=1)
    running = jobs.enqueue("t.sleep", {"seconds": 2})
    eventually(lambda: jobs.is_running(running))
    jobs.sql("select esteira.drain(id) from esteira.worker")
    waiting = jobs.enqueue("t.sleep", {"seconds": 0})
    assert worker.wait() == 0
    assert worker.events("worker_asked_to_drain")
    assert jobs.get(running)["result"] == "slept"
    assert (jobs.get(waiting)["status"], jobs.get(waiting)["attempt"]) == ("queued", 0)
    assert jobs.sql("select state from esteira.worker_status") == [{"state": "stopped"}]


def test_a_job_that_expires_while_all_slots_are_busy_is_cancelled_and_never_begun(
    jobs: Jobs, start_worker: StartWorker
) -> None:
    start_worker(slots=1)
    running = jobs.enqueue("t.sleep", {"seconds": 30})
    eventually(lambda: jobs.is_running(running))
    (row,) = jobs.sql("select esteira.enqueue('t.add', expires_at => esteira.now() + interval '0.2 s')::text as id")
    job = jobs.ended(row["id"])
    assert (job["status"], job["reason"], job["attempt"]) == ("cancelled", "expired", 0)
    assert jobs.sql("select code from esteira.explain(%s)", row["id"]) == [{"code": "expired"}]
