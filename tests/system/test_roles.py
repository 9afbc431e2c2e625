"""A service and workers that log in as accounts of their own, with no more rights than they need."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.roles import ROLES, account, as_account
from tests.worker.processes import Jobs, Worker, eventually, running_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.system.conftest import StartWorker


@pytest.fixture
def accounts(database_url: str, run_psql: Callable[..., str]) -> Iterator[dict[str, str]]:
    """Addresses for a service and two workers."""
    run_psql(database_url, "--single-transaction", "-f", ROLES)
    with (
        account(database_url, "esteira_service") as service,
        account(database_url, "esteira_worker") as first,
        account(database_url, "esteira_worker") as second,
    ):
        yield {
            "service": as_account(database_url, *service),
            "first": as_account(database_url, *first),
            "second": as_account(database_url, *second),
        }


def started(worker: Worker) -> Worker:
    eventually(lambda: worker.events("worker_started"), within=60)
    return worker


def test_a_worker_that_may_not_work_does_not_start_and_says_what_to_grant(
    accounts: dict[str, str], start_worker: StartWorker
) -> None:
    worker = start_worker(database_url=accounts["service"])
    assert worker.wait(60) != 0
    [said] = [line for line in worker.output().splitlines() if line.startswith("esteira: ")]
    assert "may not run jobs: grant it esteira_service or esteira_worker" in said
    assert "Traceback" not in worker.output()


def test_a_service_and_a_worker_need_no_more_than_their_roles(
    accounts: dict[str, str], jobs: Jobs, start_worker: StartWorker, tmp_path: Path
) -> None:
    (day,) = jobs.sql("select 'job_finished_' || to_char(now() - interval '30 days', 'YYYYMMDD') as name")
    jobs.sql("select set_config('esteira.fake_now', (now() - interval '30 days')::text, false)")
    jobs.sql("select esteira.maintain_partitions(0)")
    jobs.sql("reset esteira.fake_now")
    worker = started(start_worker(database_url=accounts["first"]))
    with running_service(tmp_path, accounts["service"]) as service:
        http = service.http
        assert http.get("/readyz").status_code == 200
        answers = [
            http.post("/v1/jobs", json={"task": task, "payload": payload})
            for task, payload in (
                ("t.add", {"a": 1, "b": 2}),
                ("t.two_steps", {"seconds": 0}),
                ("t.fail", {"kind": "key"}),
            )
        ]
        ids = [answer.json()["id"] for answer in answers]
        assert [jobs.ended(job_id)["status"] for job_id in ids] == ["completed", "completed", "dead"]
        assert http.get(f"/v1/jobs/{ids[0]}").json()["result"] == 3
        assert http.post(f"/v1/jobs/{ids[2]}/retry").status_code == 200
        assert jobs.ended(ids[2])["generation"] == 2
        for path in ("/v1/jobs", "/v1/queues", "/v1/workers", f"/v1/jobs/{ids[0]}/explain", f"/v1/jobs/{ids[1]}/steps"):
            assert http.get(path).status_code == 200, path
    # A worker's first pass drops the oldest day, as an account that owns nothing.
    eventually(lambda: not jobs.sql("select from pg_class where relname = %s", day["name"]))
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert not worker.events("tick_failed")
    assert not worker.events("retention_failed"), worker.output()
    assert "denied" not in worker.output()


def test_a_rescue_ends_the_open_transaction_of_a_stopped_worker_of_another_account(
    accounts: dict[str, str], jobs: Jobs, start_worker: StartWorker, ledger: Callable[[], list[str]]
) -> None:
    stopped = started(start_worker(database_url=accounts["first"], lease_ticks=2))
    job_id = jobs.enqueue("t.dwell", {"seconds": 60})
    eventually(ledger)
    other = started(start_worker(database_url=accounts["second"], lease_ticks=2))
    stopped.signal(signal.SIGSTOP, stopped.family())
    job = jobs.ended(job_id, within=20)
    assert (job["status"], job["result"], job["crashes"]) == ("completed", 2, 1)
    assert ledger() == ["dwells 1", "dwells 2"]
    assert not other.events("tick_failed")
