"""What a worker does with jobs of every kind, in a real process on a real database."""

from __future__ import annotations

import re
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.worker.processes import MODULE, Jobs, Worker, eventually, is_alive, running_worker

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

TASKS = Path(__file__).parents[1] / "worker" / f"{MODULE}.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worker")
    shutil.copy(TASKS, folder)
    return folder


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer, template_database: str) -> Iterator[str]:
    with postgres_server.database(template_database) as name:
        yield postgres_server.url(name)


@pytest.fixture(scope="module")
def jobs(url: str) -> Iterator[Jobs]:
    seen = Jobs(url)
    yield seen
    seen.close()


@pytest.fixture(scope="module", autouse=True)
def worker(folder: Path, url: str, jobs: Jobs) -> Iterator[Worker]:
    """One worker for all tests of this file: none of them hurts it."""
    with running_worker(folder, url, slots=20) as worker:
        eventually(lambda: worker.events("worker_started"))
        yield worker


@pytest.fixture
def ledger(folder: Path) -> Callable[[], list[str]]:
    path = folder / "ledger"
    path.write_text("")
    return lambda: path.read_text().splitlines()


@pytest.mark.parametrize("task", ["t.add", "t.add_in_thread"])
def test_a_job_runs_and_its_result_is_stored(jobs: Jobs, task: str) -> None:
    job = jobs.ended(jobs.enqueue(task, {"a": 40, "b": 2}))
    assert (job["status"], job["result"], job["attempt"], job["failures"]) == ("completed", 42, 1, 0)


def test_a_process_is_used_for_one_job_after_another(jobs: Jobs) -> None:
    results = [jobs.ended(jobs.enqueue("t.add_in_process", {"a": 1, "b": n}))["result"] for n in (1, 2)]
    assert [total for total, _ in results] == [2, 3]
    assert results[0][1] == results[1][1]


def test_a_payload_that_does_not_fit_is_dead_at_once_and_says_why(jobs: Jobs) -> None:
    job = jobs.ended(jobs.enqueue("t.add", {"a": "x", "b": 2}))
    assert (job["status"], job["reason"], job["error"]["type"]) == ("dead", "not_retryable", "InvalidPayload")


@pytest.mark.parametrize("task", ["t.sleep", "t.sleep_in_thread", "t.sleep_in_process"])
def test_a_job_past_its_timeout_is_stopped_and_charged(jobs: Jobs, task: str) -> None:
    job_id = jobs.enqueue(task, {"seconds": 30}, timeout="1 s", max_attempts=1)
    job = jobs.ended(job_id)
    assert (job["status"], job["error"]["type"], job["failures"]) == ("dead", "TimedOut", 1)
    (attempt,) = jobs.attempts(job_id)
    assert attempt["outcome"] == "timed_out"
    assert 1 <= (attempt["finished_at"] - attempt["started_at"]).total_seconds() < 2.5


@pytest.mark.parametrize("task", ["t.sleep", "t.sleep_in_thread", "t.sleep_in_process"])
def test_a_cancel_reaches_a_running_job_within_two_seconds(jobs: Jobs, task: str) -> None:
    job_id = jobs.enqueue(task, {"seconds": 30})
    eventually(lambda: jobs.is_running(job_id))
    jobs.sql("select esteira.cancel(%s)", job_id)
    job = jobs.ended(job_id, within=2.5)
    assert (job["status"], job["failures"]) == ("cancelled", 0)


def test_a_cancelled_process_dies_with_its_descendants(jobs: Jobs, ledger: Callable[[], list[str]]) -> None:
    job_id = jobs.enqueue("t.sleep_in_process", {"seconds": 30})
    pids = [int(pid) for pid in eventually(ledger)[0].split()]
    assert all(map(is_alive, pids))
    jobs.sql("select esteira.cancel(%s)", job_id)
    assert jobs.ended(job_id)["status"] == "cancelled"
    eventually(lambda: not any(map(is_alive, pids)))


def test_a_process_that_dies_fails_its_job_and_no_other(jobs: Jobs) -> None:
    job = jobs.ended(jobs.enqueue("t.leave", {"code": 7}))
    assert (job["status"], job["error"]["type"], job["crashes"]) == ("dead", "ProcessDied", 0)
    assert job["error"]["message"] == "the process that ran it exited with code 7"


def test_a_job_that_takes_all_memory_fails_and_its_process_goes_on(jobs: Jobs) -> None:
    before = jobs.ended(jobs.enqueue("t.add_in_process", {"a": 1, "b": 1}))["result"]
    job = jobs.ended(jobs.enqueue("t.memory_bomb"))
    assert (job["status"], job["error"]["type"], job["crashes"]) == ("dead", "MemoryError", 0)
    assert jobs.ended(jobs.enqueue("t.add_in_process", {"a": 1, "b": 1}))["result"] == before


def test_a_job_that_goes_on_failing_is_dead_at_its_last_attempt(jobs: Jobs, ledger: Callable[[], list[str]]) -> None:
    job_id = jobs.enqueue("t.fail", {"kind": "value"})
    job = jobs.ended(job_id)
    assert (job["status"], job["reason"], job["failures"]) == ("dead", "attempts_exhausted", 3)
    assert job["error"]["message"] == "no \\0 good"
    assert ledger() == ["attempt 1", "attempt 2", "attempt 3"]
    assert "raise {" in jobs.attempts(job_id)[0]["traceback"]


@pytest.mark.parametrize("kind", ["key", "fail"])
def test_what_no_attempt_can_mend_is_dead_at_once(jobs: Jobs, ledger: Callable[[], list[str]], kind: str) -> None:
    job = jobs.ended(jobs.enqueue("t.fail", {"kind": kind}))
    assert (job["status"], job["reason"]) == ("dead", "not_retryable")
    assert ledger() == ["attempt 1"]


def test_a_failed_job_is_tried_again_after_its_backoff(jobs: Jobs) -> None:
    job = jobs.ended(jobs.enqueue("t.fail_once"))
    assert (job["status"], job["result"], job["failures"]) == ("completed", 2, 1)


def test_a_snoozed_job_comes_back_uncharged(jobs: Jobs) -> None:
    job_id = jobs.enqueue("t.snooze")
    job = jobs.ended(job_id)
    assert (job["result"], job["failures"]) == (2, 0)
    (snoozed,) = jobs.attempts(job_id)
    assert 0.3 <= (job["started_at"] - snoozed["finished_at"]).total_seconds() < 1


def test_a_result_that_cannot_be_stored_completes_its_job_with_a_warning(jobs: Jobs) -> None:
    job = jobs.ended(jobs.enqueue("t.not_a_number"))
    assert (job["status"], job["result"]) == ("completed", None)
    assert job["result_error"]


def test_an_unknown_task_waits_and_burns_no_attempt(jobs: Jobs) -> None:
    stranger = jobs.enqueue("t.unheard_of")
    for _ in range(3):
        jobs.ended(jobs.enqueue("t.add", {"a": 1, "b": 1}))
    job = jobs.get(stranger)
    assert (job["status"], job["attempt"]) == ("queued", 0)
    assert jobs.sql("select code from esteira.explain(%s)", stranger)[0]["code"] == "task_unknown"
    jobs.sql("select esteira.cancel(%s)", stranger)


def test_context_variables_of_one_job_are_not_seen_by_the_next(jobs: Jobs) -> None:
    ids = jobs.enqueue_many("t.remember", [{"word": str(n)} for n in range(60)])
    assert {jobs.ended(job_id)["result"] for job_id in ids} == {None}


def test_an_idle_worker_is_woken_by_a_notification(jobs: Jobs, record_property: Callable[[str, object], None]) -> None:
    waits = []
    for _ in range(50):
        job = jobs.ended(jobs.enqueue("t.add", {"a": 1, "b": 1}))
        waits.append((job["started_at"] - job["created_at"]).total_seconds())
    median = statistics.median(waits)
    record_property("pickup_median_ms", median * 1000)
    print(f"pickup of an idle worker: median {median * 1000:.1f} ms, worst {max(waits) * 1000:.1f} ms")  # noqa: T201
    assert median <= 0.05


def test_a_job_without_notification_is_found_by_the_poll(jobs: Jobs) -> None:
    waits = []
    for _ in range(3):
        job = jobs.ended(jobs.enqueue("t.add", {"a": 1, "b": 1}, notify=False))
        waits.append((job["started_at"] - job["created_at"]).total_seconds())
    # A second, and what a busy machine adds to it.
    assert max(waits) <= 1.3


def test_a_delayed_job_starts_at_its_time_though_others_come_before_it(jobs: Jobs) -> None:
    delayed = jobs.enqueue("t.add", {"a": 1, "b": 1}, delay="0.9 s")
    soon = jobs.enqueue("t.add", {"a": 1, "b": 1}, delay="0.5 s")
    for job_id in (soon, delayed):
        job = jobs.ended(job_id)
        assert 0 <= (job["started_at"] - job["run_at"]).total_seconds() <= 0.25


def test_a_job_committed_late_is_found_by_the_sweep(jobs: Jobs, url: str) -> None:
    late = Jobs(url)
    late.sql("begin")
    job_id = late.enqueue("t.add", {"a": 1, "b": 1}, notify=False)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:  # the floor passes it
        jobs.ended(jobs.enqueue("t.add", {"a": 1, "b": 1}))
    late.sql("commit")
    late.close()
    assert jobs.ended(job_id, within=3.0)["status"] == "completed"


def test_nothing_that_these_tests_did_looked_like_a_lost_lease(worker: Worker) -> None:
    assert not worker.events("lease_lost")
    assert not worker.events("engine_died")
    assert not re.search("Traceback|claim_failed|settle_failed", worker.output())
