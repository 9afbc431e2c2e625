"""Everything through pgbouncer in transaction mode, with fewer sessions behind it than clients in front."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pgbouncer import PgBouncer, running_pgbouncer
from tests.worker.processes import Jobs, Service, Worker, eventually, running_service, running_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import PostgresServer

TASKS = "everywhere_tasks"
SESSIONS = 4
WAYS = {"e.in_loop": 8, "e.in_thread": 8, "e.in_process": 3}


@dataclass(frozen=True)
class Place:
    """A database with the schema, a pgbouncer before it, and a folder with the tasks."""

    folder: Path
    bouncer: PgBouncer
    url: str
    direct_url: str


@pytest.fixture(scope="module")
def place(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("pgbouncer")
    shutil.copy(Path(__file__).parent / f"{TASKS}.py", folder)
    with (
        postgres_server.database() as name,
        running_pgbouncer(postgres_server.admin_url, default_pool_size=str(SESSIONS)) as bouncer,
    ):
        place = Place(folder, bouncer, bouncer.url(name), postgres_server.url(name))
        urls = {"ESTEIRA_DATABASE_URL": place.url, "ESTEIRA_DIRECT_URL": place.direct_url}
        subprocess.run([sys.executable, "-P", "-m", "esteira.cli", "migrate"], env={**os.environ, **urls}, check=True)
        yield place


@pytest.fixture(scope="module")
def jobs(place: Place) -> Iterator[Jobs]:
    """The jobs, seen past the pooler."""
    seen = Jobs(place.direct_url)
    seen.sql("create table effect (number integer, job_id uuid)")
    yield seen
    seen.close()


@pytest.fixture(scope="module")
def worker(place: Place, jobs: Jobs) -> Iterator[Worker]:
    with running_worker(place.folder, place.url, modules=TASKS, slots=20) as worker:
        eventually(lambda: worker.events("wakeups_off"), within=60)
        yield worker


@pytest.fixture(scope="module")
def service(place: Place, worker: Worker) -> Iterator[Service]:
    with running_service(place.folder, place.url) as service:
        yield service


def effects(jobs: Jobs, ids: list[str]) -> Counter[int]:
    """Count the effects of these jobs by how many each had."""
    rows = jobs.sql("select count(*) from effect where job_id = any(%s::uuid[]) group by job_id", ids)
    return Counter(row["count"] for row in rows)


def test_jobs_of_every_kind_complete_once_each(service: Service, jobs: Jobs) -> None:
    ids = {service.post(task, {"number": n}): n for task, count in WAYS.items() for n in range(count)}
    for job_id, n in ids.items():
        job = service.ended(job_id)
        assert (job["status"], job["result"], job["attempt"], job["progress"]) == ("completed", 2 * n, 1, 1)
    assert effects(jobs, list(ids)) == {1: 19}
    steps = jobs.sql("select name, count(*) from esteira.step where job_id = any(%s::uuid[]) group by name", list(ids))
    assert {row["name"]: row["count"] for row in steps} == {"twice": 19, "note": 19}


def test_more_clients_than_sessions_wait_for_their_turn(place: Place, service: Service, jobs: Jobs) -> None:
    ids = [service.post("e.linger", {"number": n}) for n in range(40)]
    assert {service.ended(job_id)["attempt"] for job_id in ids} == {1}
    assert effects(jobs, ids) == {1: 40}
    others = "datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
    assert jobs.sql(f"select count(*) <= {SESSIONS} as few from pg_stat_activity where {others}") == [{"few": True}]


@pytest.mark.parametrize("task", ["e.doze", "e.nap", "e.sleep"])
def test_a_running_job_is_cancelled(service: Service, jobs: Jobs, task: str) -> None:
    job_id = service.post(task, {})
    eventually(lambda: jobs.is_running(job_id))
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").is_success
    assert service.ended(job_id)["status"] == "cancelled"


def test_a_failed_job_runs_again_and_a_cancelled_one_when_it_is_told_to(service: Service, jobs: Jobs) -> None:
    job = service.ended(service.post("e.fail_once", {}))
    assert (job["result"], job["failures"]) == (2, 1)
    answer = service.http.post("/v1/jobs", json={"task": "e.in_loop", "payload": {"number": 1}, "delay_seconds": 3600})
    job_id = answer.json()["id"]
    for verb in ("cancel", "retry"):
        assert service.http.post(f"/v1/jobs/{job_id}/{verb}").is_success
    assert jobs.get(job_id)["generation"] == 2


def test_jobs_of_a_killed_engine_run_again_and_what_it_left_in_a_transaction_is_gone(
    service: Service, worker: Worker, jobs: Jobs
) -> None:
    dozing = service.post("e.doze", {})
    ids = [service.post("e.linger", {"number": n}) for n in range(100)]
    eventually(lambda: effects(jobs, ids))
    worker.signal(signal.SIGKILL, worker.engines())
    assert {service.ended(job_id)["status"] for job_id in ids} == {"completed"}
    assert effects(jobs, ids) == {1: 100}
    eventually(lambda: jobs.get(dozing)["attempt"] == 2, within=20)
    assert service.http.post(f"/v1/jobs/{dozing}/cancel").is_success
    assert service.ended(dozing)["crashes"] == 1


def test_no_job_is_lost_and_none_doubled_when_the_pooler_restarts_under_load(
    place: Place, service: Service, worker: Worker, jobs: Jobs
) -> None:
    ids = jobs.enqueue_many("e.linger", [{"number": n} for n in range(100)])
    for task in ("e.in_loop", "e.in_thread"):
        ids += jobs.enqueue_many(task, [{"number": n} for n in range(50)])
    for number in (signal.SIGKILL, signal.SIGTERM):
        before = effects(jobs, ids)[1]
        eventually(lambda: effects(jobs, ids)[1] > before + 20)  # noqa: B023 - it is over before the loop goes on
        place.bouncer.stop(number)
        time.sleep(0.3)
        place.bouncer.start()
    assert {jobs.ended(job_id, within=20)["status"] for job_id in ids} == {"completed"}
    assert effects(jobs, ids) == {1: 200}
    assert service.ended(service.post("e.in_process", {"number": 1}))["result"] == 2
    assert not worker.events("worker_given_up")


def test_it_is_said_once_for_each_engine_that_wake_ups_do_not_come(service: Service, worker: Worker) -> None:
    assert len(worker.events("behind_pooler")) == len(service.events("behind_pooler")) == 1
    assert len(worker.events("wakeups_off")) == len(worker.events("engine_started"))


def test_they_come_past_the_pooler_where_there_is_a_way(place: Place, jobs: Jobs) -> None:
    settings = {"modules": TASKS, "queues": "quick", "direct_url": place.direct_url}
    with running_worker(place.folder, place.url, **settings) as worker:
        eventually(lambda: jobs.sql("select pid from pg_stat_activity where query ilike 'listen%%'"), within=60)
        took = []
        for number in range(5):
            job = jobs.ended(jobs.enqueue("e.in_loop", {"number": number}, queue="quick"))
            took.append((job["started_at"] - job["created_at"]).total_seconds())
        assert sorted(took)[2] < 0.2
        assert not worker.events("wakeups_off")
