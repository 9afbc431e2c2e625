"""How a worker stops, and how it refuses to start."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from esteira.embedded import EmbeddedPostgres
from tests.postgres import INSTALL, open_folder
from tests.system.conftest import StartWorker
from tests.worker.processes import Jobs, eventually, is_alive

Ledger = Callable[[], list[str]]


def test_a_worker_told_to_stop_lets_running_jobs_finish_and_claims_no_more(
    jobs: Jobs, start_worker: StartWorker
) -> None:
    worker = start_worker(slots=2)
    running = jobs.enqueue_many("t.sleep", [{"seconds": 1}] * 2)
    eventually(lambda: all(map(jobs.is_running, running)))
    waiting = jobs.enqueue_many("t.sleep", [{"seconds": 1}] * 2)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert [jobs.get(job_id)["result"] for job_id in running] == ["slept", "slept"]
    assert [(jobs.get(job_id)["status"], jobs.get(job_id)["attempt"]) for job_id in waiting] == [("queued", 0)] * 2
    assert worker.events("worker_stopped")[0]["jobs_returned"] == 0
    assert jobs.workers()[0]["stopped_at"] is not None


def test_what_outlasts_the_drain_goes_back_uncharged(jobs: Jobs, start_worker: StartWorker, ledger: Ledger) -> None:
    worker = start_worker(drain_seconds=0.3)
    ids = [
        jobs.enqueue(task, {"seconds": 60})
        for task in ("t.sleep", "t.sleep_in_thread", "t.deaf_sleep", "t.sleep_in_process")
    ]
    eventually(lambda: all(map(jobs.is_running, ids)) and len(ledger()) == 2)
    pids = [int(pid) for line in ledger() if line[0].isdigit() for pid in line.split()]
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    for job_id in ids:
        job = jobs.get(job_id)
        assert (job["status"], job["failures"], job["crashes"]) == ("queued", 0, 0)
        assert [attempt["outcome"] for attempt in jobs.attempts(job_id)] == ["released"]
    assert len(pids) == 2
    eventually(lambda: not any(map(is_alive, pids)), within=2)


def test_a_second_signal_cuts_the_drain_short(jobs: Jobs, start_worker: StartWorker) -> None:
    worker = start_worker()
    job_id = jobs.enqueue("t.sleep", {"seconds": 60})
    eventually(lambda: jobs.is_running(job_id))
    worker.signal(signal.SIGTERM)
    eventually(lambda: worker.events("engine_draining"))
    worker.signal(signal.SIGINT)
    assert worker.wait(within=5) == 0
    job = jobs.get(job_id)
    assert (job["status"], job["failures"], job["crashes"]) == ("queued", 0, 0)


def test_a_signal_that_reaches_every_process_stops_the_worker_in_good_order(
    jobs: Jobs, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = start_worker()
    job_id = jobs.enqueue("t.sleep_in_process", {"seconds": 1})
    eventually(ledger)
    worker.signal(signal.SIGTERM, worker.family())
    assert worker.wait() == 0
    assert jobs.get(job_id)["result"] == "slept"


def test_a_service_manager_stops_and_then_hurries_a_worker_behind_a_shell(
    jobs: Jobs, start_worker: StartWorker, ledger: Ledger
) -> None:
    shell = start_worker(through=["sh", "-c", '"$@"; exit $?', "sh"])
    ids = [jobs.enqueue(task, {"seconds": 60}) for task in ("t.sleep", "t.sleep_in_thread", "t.sleep_in_process")]
    eventually(lambda: all(map(jobs.is_running, ids)) and ledger())
    short = jobs.enqueue("t.sleep", {"seconds": 1})
    eventually(lambda: jobs.is_running(short))
    family = shell.family()
    # To every process of the group, as systemd does; the shell ends at once and passes nothing on.
    os.killpg(shell.pid, signal.SIGTERM)
    assert shell.wait() == -signal.SIGTERM
    eventually(lambda: shell.events("engine_draining"))
    assert jobs.ended(short)["result"] == "slept"
    os.killpg(shell.pid, signal.SIGTERM)
    eventually(lambda: shell.events("worker_stopped"))
    for job_id in ids:
        job = jobs.get(job_id)
        assert (job["status"], job["failures"], job["crashes"]) == ("queued", 0, 0)
    eventually(lambda: not any(map(is_alive, [*family, *map(int, ledger()[0].split())])), within=5)


def test_a_worker_can_be_stopped_while_it_still_imports_its_tasks(start_worker: StartWorker, tmp_path: Path) -> None:
    (tmp_path / "slow_tasks.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    worker = start_worker(modules="slow_tasks")
    eventually(lambda: "importing" in worker.output())
    worker.signal(signal.SIGTERM)
    assert worker.wait(within=5) == 0


def test_a_worker_that_cannot_begin_ends_with_a_sentence(start_worker: StartWorker, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    expected = {
        start_worker(modules="missing"): 'there is no module "missing" here',
        start_worker(modules="empty"): 'the module "empty" holds no esteira.App',
        start_worker(modules="broken"): "the engine process exited with code 1 while it imported the tasks",
        start_worker(modules=""): "no tasks: name the modules that declare them",
        start_worker(database_url="postgresql://nobody@127.0.0.1:1/none"): "",
        start_worker(slots="many"): "ESTEIRA_SLOTS: ",
    }
    for worker, sentence in expected.items():
        assert worker.wait() == 1
        assert worker.output().splitlines()[-1].startswith(f"esteira: {sentence}")
        # The only traceback is that of the module itself.
        assert worker.output().count("Traceback") == ("ZeroDivisionError" in worker.output())


@pytest.fixture
def server(postgres_bin: Path, run_psql: Callable[..., str]) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, to be stopped and started."""
    with open_folder() as folder, EmbeddedPostgres(folder / "data", durable=False, bin_dir=postgres_bin) as server:
        run_psql(server.url(), "--single-transaction", "-f", INSTALL)
        yield server


def test_jobs_finished_while_the_database_is_away_are_settled_once_it_is_back(
    server: EmbeddedPostgres, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = start_worker(database_url=server.url(), lease_ticks=2)
    seen = Jobs(server.url())
    ids = [seen.enqueue("t.sleep", {"seconds": 1.5}) for _ in range(5)]
    eventually(lambda: all(map(seen.is_running, ids)))
    seen.close()
    server.stop("immediate")
    away = time.monotonic()
    eventually(lambda: time.monotonic() - away > 3)
    # One line of the supervisor, and one of its engine.
    assert len(worker.events("database_away")) == 2
    server.start()
    seen = Jobs(server.url())
    for job_id in ids:
        job = seen.ended(job_id)
        assert (job["status"], job["attempt"], job["crashes"]) == ("completed", 1, 0)
    assert not worker.events("lease_lost")
    assert not worker.events("worker_given_up")
    assert not worker.events("engine_died")
    job = seen.ended(seen.enqueue("t.add", {"a": 1, "b": 1}))
    assert job["result"] == 2
    eventually(lambda: len(worker.events("database_back")) == 2)
    seen.close()
