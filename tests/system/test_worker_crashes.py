"""Engines and workers that die, stop or hang: nothing is lost, and nothing is finished twice."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.system.conftest import StartWorker
from tests.worker.processes import Jobs, Worker, children, eventually, is_alive

Ledger = Callable[[], list[str]]


def ready(worker: Worker) -> Worker:
    eventually(lambda: worker.events("worker_started"))
    return worker


def holds(worker: Worker, job: dict[str, Any]) -> bool:
    return bool(worker.events("worker_started")[0]["worker_id"] == str(job["worker_id"]))


def test_jobs_of_a_killed_engine_run_again_at_once_and_finished_steps_do_not(
    jobs: Jobs, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = ready(start_worker())
    ids = jobs.enqueue_many("t.two_steps", [{"seconds": 60}] * 10)
    eventually(lambda: Counter(ledger())["second begins"] == 10)
    worker.signal(signal.SIGKILL, worker.engines())
    killed = time.monotonic()
    crashed = "select count(*) from esteira.attempt where outcome = 'crashed'"
    eventually(lambda: jobs.sql(crashed)[0]["count"] == 10, within=2.0)
    print(f"claimable {time.monotonic() - killed:.3f} s after the engine was killed")  # noqa: T201
    for job_id in ids:
        job = jobs.ended(job_id)
        assert (job["result"], job["crashes"], job["failures"]) == ("1 2 in attempt 2", 1, 0)
    assert Counter(ledger()) == {"first": 10, "second begins": 20, "second": 10}
    (died,) = worker.events("engine_died")
    assert (died["how"], died["jobs_returned"]) == ("was killed by SIGKILL", 10)


def test_what_a_dead_engines_last_claim_took_after_its_death_goes_back(jobs: Jobs, start_worker: StartWorker) -> None:
    worker = ready(start_worker())
    worker.signal(signal.SIGKILL, worker.engines())
    eventually(lambda: worker.events("engine_died"))
    job_id = jobs.enqueue("other.task")
    owner = worker.events("worker_started")[0]["worker_id"]
    # As it happens where the claim waited in a connection pooler.
    claim = (
        "select id from esteira.claim(%s, 1, 1, '{other.task}', '{default}', '{1}', array['-infinity'::timestamptz],"
        " array['00000000-0000-0000-0000-000000000000'::uuid])"
    )
    assert str(jobs.sql(claim, owner)[0]["id"]) == job_id
    (attempt,) = eventually(lambda: jobs.attempts(job_id), within=5)
    assert attempt["outcome"] == "released"
    assert (jobs.get(job_id)["status"], jobs.get(job_id)["crashes"]) == ("queued", 0)
    eventually(lambda: worker.events("stray_jobs_released"))


def test_processes_do_not_outlive_their_engine_nor_engines_their_supervisor(
    jobs: Jobs, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = ready(start_worker(processes=2))
    jobs.enqueue("t.sleep_in_process", {"seconds": 60})
    child, grandchild = map(int, eventually(ledger)[0].split())
    worker.signal(signal.SIGKILL, [engine for engine in worker.engines() if child in children(engine)])
    eventually(lambda: not is_alive(child) and not is_alive(grandchild), within=2)
    engines = worker.engines()
    worker.signal(signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, engines)), within=2)


def test_jobs_of_a_killed_worker_are_taken_over_within_eight_seconds(
    jobs: Jobs, start_worker: StartWorker, ledger: Ledger
) -> None:
    doomed = ready(start_worker(slots=40))
    ids = jobs.enqueue_many("t.two_steps", [{"seconds": 60}] * 40)
    eventually(lambda: Counter(ledger())["second begins"] == 40)
    ready(start_worker(slots=40))
    doomed.kill()
    killed = time.monotonic()
    lost = "select count(*) from esteira.attempt where outcome = 'lost'"
    eventually(lambda: jobs.sql(lost)[0]["count"] == 40, within=8.0)
    print(f"claimable {time.monotonic() - killed:.1f} s after the worker was killed")  # noqa: T201
    assert {jobs.ended(job_id)["result"] for job_id in ids} == {"1 2 in attempt 2"}
    assert Counter(ledger()) == {"first": 40, "second begins": 80, "second": 40}


def test_a_stopped_worker_that_wakes_after_it_was_given_up_changes_nothing_and_begins_anew(
    jobs: Jobs, start_worker: StartWorker, ledger: Ledger
) -> None:
    jobs.sql("create table effect (number integer, attempt integer)")
    workers = [start_worker(lease_ticks=2) for _ in range(2)]
    job_id = jobs.enqueue("t.effect", {"number": 7, "seconds": 2})
    eventually(ledger)
    (zombie,) = [worker for worker in map(ready, workers) if holds(worker, jobs.get(job_id))]
    zombie.signal(signal.SIGSTOP, zombie.family())
    assert jobs.ended(job_id)["attempt"] == 2
    # The engine first: its supervisor kills it as soon as it knows.
    zombie.signal(signal.SIGCONT, zombie.engines())
    eventually(lambda: zombie.events("lease_lost"))
    zombie.signal(signal.SIGCONT)
    eventually(lambda: len(zombie.events("worker_started")) == 2)
    assert zombie.events("worker_given_up")
    assert len({event["worker_id"] for event in zombie.events("worker_started")}) == 2
    assert jobs.sql("select * from effect") == [{"number": 7, "attempt": 2}]
    assert (jobs.get(job_id)["status"], jobs.get(job_id)["attempt"]) == ("completed", 2)


def test_an_attempt_that_lost_its_job_keeps_nothing_even_beside_the_next_one(
    jobs: Jobs, start_worker: StartWorker, ledger: Ledger
) -> None:
    jobs.sql("create table effect (number integer, attempt integer)")
    worker = ready(start_worker())
    job_id = jobs.enqueue("t.effect", {"number": 7, "seconds": 1})
    eventually(ledger)
    jobs.sql("select esteira.release(array[%s::uuid], array[1])", job_id)
    assert jobs.ended(job_id)["attempt"] == 2
    eventually(lambda: [event["attempt"] for event in worker.events("lease_lost")] == [1])
    assert jobs.sql("select * from effect") == [{"number": 7, "attempt": 2}]


def test_a_poison_pill_is_dead_after_its_third_crash_and_all_others_complete(
    jobs: Jobs, start_worker: StartWorker
) -> None:
    ids = jobs.enqueue_many("t.sleep", [{"seconds": 0.1}] * 25)
    pill = jobs.enqueue("t.abort")
    ids += jobs.enqueue_many("t.sleep", [{"seconds": 0.1}] * 25)
    worker = start_worker()
    job = jobs.ended(pill, within=25)
    assert (job["status"], job["reason"], job["crashes"]) == ("dead", "crashed", 3)
    assert "SIGABRT" in job["error"]["message"]
    assert {jobs.ended(job_id)["status"] for job_id in ids} == {"completed"}
    assert pill in {event["job_id"] for event in worker.events("job_runs_alone")}
    assert not worker.events("stray_jobs_released")


def test_a_handler_that_holds_the_gil_loses_no_lease(jobs: Jobs, start_worker: StartWorker, ledger: Ledger) -> None:
    workers = list(map(ready, [start_worker(lease_ticks=2) for _ in range(2)]))
    job_id = jobs.enqueue("t.hold_the_gil", {"seconds": 4})
    job = jobs.ended(job_id, within=15)
    assert (job["result"], job["attempt"], job["crashes"]) == ("held", 1, 0)
    assert ledger() == ["holding"]
    assert not any(worker.events("worker_given_up") for worker in workers)


def test_short_jobs_under_way_in_a_killed_engine_finish_once_each(jobs: Jobs, start_worker: StartWorker) -> None:
    worker = ready(start_worker(processes=2))
    ids = jobs.enqueue_many("t.add", [{"a": n, "b": 1} for n in range(3000)])
    eventually(lambda: jobs.live() < 3000)
    worker.signal(signal.SIGKILL, worker.engines()[:1])
    eventually(lambda: jobs.live() == 0, within=20)
    counts = jobs.sql("select count(*), count(distinct id) as ids, sum((result #>> '{}')::int) as sum from esteira.job")
    assert counts == [{"count": len(ids), "ids": len(ids), "sum": sum(range(1, 3001))}]


def test_a_module_that_breaks_later_stops_no_other_engine(
    jobs: Jobs, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = ready(start_worker(processes=2))
    eventually(lambda: len(worker.events("engine_started")) == 2)
    module = tmp_path / "ledger_tasks.py"
    source = module.read_text()
    module.write_text("import no_such_thing\n")
    worker.signal(signal.SIGKILL, worker.engines()[:1])
    eventually(lambda: worker.events("engine_unfit"))
    assert jobs.ended(jobs.enqueue("t.add", {"a": 1, "b": 1}))["result"] == 2
    module.write_text(source)
    eventually(lambda: len(worker.events("engine_started")) == 3)


def test_an_engine_whose_loop_is_stopped_dies_though_a_thread_never_ends(jobs: Jobs, start_worker: StartWorker) -> None:
    ready(start_worker(slots=3))
    assert jobs.ended(jobs.enqueue("t.never_end"))["reason"] == "attempts_exhausted"
    poison = jobs.enqueue("t.stop_the_loop")
    innocent = jobs.enqueue("t.add", {"a": 1, "b": 2})
    assert jobs.ended(innocent)["result"] == 3
    assert jobs.ended(poison)["reason"] == "crashed"
