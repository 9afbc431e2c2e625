from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esteira import Client
from esteira.cli import bulk, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira import Acted, JobFilter

    Esteira = Callable[..., Any]
    Psql = Callable[..., str]

DONE = {"matched": 0, "changed": 0, "asked": 0, "more": False, "dry_run": False}
DIE = """
with gone as (delete from esteira.job_live returning *)
insert into esteira.job_dead (id, queue, task, status, reason, error, attempt, generation, finished_at)
select id, queue, task, 'dead', 'not_retryable', '{"type": "E", "message": "no"}', attempt, generation,
    clock_timestamp()
from gone
"""


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)


def statuses(psql: Psql) -> str:
    return psql("select string_agg(status, ' ' order by id) from esteira.jobs")


@pytest.mark.usefixtures("small_batches")
def test_all_that_a_filter_finds_is_cancelled_batch_by_batch_and_running_jobs_once(
    esteira: Esteira, worker: Any, psql: Psql
) -> None:
    running = [worker.running() for _ in range(3)]
    psql("select esteira.enqueue('t') from generate_series(1, 5)")
    esteira("enqueue", "t", "--queue", "other")
    answer = esteira("cancel", "--queue", "default", "--yes", "--json")
    assert answer.json == {**DONE, "matched": 8, "changed": 5, "asked": 3}
    assert statuses(psql) == " ".join(["running"] * 3 + ["cancelled"] * 5 + ["queued"])
    assert psql("select count(*) from esteira.activity where cancel_requested_at is not null") == str(len(running))


def test_an_act_says_what_it_did(esteira: Esteira, worker: Any) -> None:
    worker.running()
    esteira("enqueue", "t")
    assert esteira("cancel", "--task", "t", "--yes").out == "cancelled 1 job, asked 1 running to stop\n"
    assert esteira("cancel", "--task", "u", "--yes").out == "no such job can be cancelled\n"


@pytest.mark.usefixtures("small_batches")
def test_a_limit_takes_the_oldest(esteira: Esteira, psql: Psql) -> None:
    for _ in range(5):
        esteira("enqueue", "t")
    answer = esteira("cancel", "--status", "queued", "--limit", 3, "--yes", "--json")
    assert answer.json == {**DONE, "matched": 3, "changed": 3, "more": True}
    assert statuses(psql) == "cancelled cancelled cancelled queued queued"


def test_a_dry_run_counts_and_changes_nothing(esteira: Esteira, worker: Any, psql: Psql) -> None:
    dead = worker.running()
    worker.fail(dead)
    cancelled = esteira("enqueue", "t").out.strip()
    esteira("cancel", cancelled)
    answer = esteira("retry", "--task", "t", "--dry-run")
    assert answer.out == "would retry 2 jobs (1 dead, 1 cancelled)\n"
    assert esteira("retry", "--task", "t", "--dry-run", "--json").json == {**DONE, "matched": 2, "dry_run": True}
    assert statuses(psql) == "dead cancelled"


@pytest.mark.usefixtures("small_batches")
def test_dead_jobs_are_retried_and_discarded(esteira: Esteira, worker: Any, psql: Psql) -> None:
    for _ in range(5):
        worker.fail(worker.running())
    assert esteira("retry", "--status", "dead", "--limit", 3, "--yes").out == "retried 3 jobs\n"
    assert statuses(psql) == "queued queued queued dead dead"
    assert esteira("discard", "--task", "t", "--yes").out == "discarded 2 jobs\n"
    assert statuses(psql) == "queued queued queued"


def test_a_job_whose_unique_key_is_taken_stays_dead_and_is_told(esteira: Esteira, worker: Any) -> None:
    esteira("enqueue", "t", "--unique-key", "k")
    worker.fail(worker.claim())
    esteira("enqueue", "t", "--unique-key", "k")
    answer = esteira("retry", "--status", "dead", "--yes")
    assert answer.out == "retried 0 jobs; 1 had changed by then, or a live job has their unique key\n"


def test_without_a_terminal_an_act_wants_yes(esteira: Esteira, psql: Psql) -> None:
    esteira("enqueue", "t")
    answer = esteira("cancel", "--task", "t")
    assert (answer.code, answer.out) == (2, "")
    assert "this would cancel 1 job (1 queued): say --yes" in answer.err
    assert statuses(psql) == "queued"


@pytest.mark.parametrize(("said", "code", "left"), [("y", 0, "cancelled"), ("n", 130, "queued"), ("", 130, "queued")])
def test_on_a_terminal_an_act_asks(
    esteira: Esteira, psql: Psql, monkeypatch: pytest.MonkeyPatch, said: str, code: int, left: str
) -> None:
    monkeypatch.setattr(session, "is_terminal", lambda: True)
    esteira("enqueue", "t")
    answer = esteira("cancel", "--task", "t", stdin=f"{said}\n")
    assert answer.code == code
    assert "Cancel 1 job (1 queued)?" in answer.err
    assert statuses(psql) == left


def test_a_status_that_the_act_does_not_apply_to_is_refused(esteira: Esteira) -> None:
    answer = esteira("discard", "--status", "completed", "--yes")
    assert (answer.code, answer.out) == (2, "")
    assert "only jobs that are dead can be discarded, none that are completed" in answer.err


@pytest.mark.usefixtures("small_batches")
def test_what_is_retried_and_soon_dead_again_is_not_retried_once_more(
    esteira: Esteira, worker: Any, psql: Psql, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        worker.fail(worker.running())
    retry_many = Client.retry_many

    async def retry_and_die(self: Client, wanted: JobFilter, *, limit: int) -> Acted:
        acted = await retry_many(self, wanted, limit=limit)
        await self.database.fetch(DIE)
        return acted

    monkeypatch.setattr(Client, "retry_many", retry_and_die)
    assert esteira("retry", "--status", "dead", "--yes").out == "retried 5 jobs\n"
    assert psql("select distinct generation from esteira.jobs") == "2"
