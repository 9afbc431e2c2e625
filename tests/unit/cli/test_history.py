from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from esteira.history import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Worker

    Esteira = Callable[..., Any]


def test_a_history_in_order_is_recorded_checked_and_dropped(esteira: Esteira, worker: Worker) -> None:
    began = esteira("history", "start")
    assert began.code == 0
    assert began.out.startswith("recording since 20")
    worker.complete(worker.running())
    answer = esteira("history", "check", "--drained")
    assert answer.code == 0
    lines = [line.rstrip() for line in answer.out.splitlines()]
    assert "✓ Conservation" in lines
    assert "· No phantom        not checked: only a ledger knows what was asked for: --ledger FILE" in lines
    assert lines[-1].startswith("1 job")
    assert esteira("history", "stop", "--yes").out == "recording has ended, and nothing of it is left\n"
    assert esteira("history", "check").code == 2


def test_a_breach_is_shown_with_its_story_and_ends_with_its_code(esteira: Esteira, worker: Worker) -> None:
    esteira("history", "start")
    job = worker.running()
    worker.connection.execute("update esteira.job set attempt = 2")
    answer = esteira("history", "check")
    assert answer.code == 1
    assert f"One owner: job {job}: attempt 2 was claimed while attempt 1 still ran\n    task t\n" in answer.out
    assert "✗ One owner         broken once" in answer.out


def test_all_that_was_found_is_json(esteira: Esteira, worker: Worker, tmp_path: Path) -> None:
    assert esteira("history", "start", "--json").json.keys() == {"recording_since"}
    job = worker.running()
    worker.connection.execute("create table public.effect as select %s::uuid as job_id, 1 as attempt", (job,))
    ledger = Ledger(tmp_path / "ledger")
    with ledger.request() as request:
        request.acknowledged(job)
    effects = ("--effects", "public.effect", "--effects-of", "t")
    answer = esteira("history", "check", "--ledger", ledger.path, *effects, "--slack", "10s", "--json")
    assert answer.code == 1
    (violation,) = answer.json["violations"]
    assert (violation["invariant"], violation["job_id"]) == ("Effects", str(job))
    assert violation["sentence"] == "the effect of attempt 1 is there, and the job is running"
    assert esteira("history", "stop", "--yes", "--json").json.keys() == {"recorded_since"}


def test_a_partial_ledger_knows_not_every_job(esteira: Esteira, worker: Worker, tmp_path: Path) -> None:
    esteira("history", "start")
    worker.running()
    (tmp_path / "ledger").touch()
    assert esteira("history", "check", "--ledger", tmp_path / "ledger").code == 1
    assert esteira("history", "check", "--ledger", tmp_path / "ledger", "--partial").code == 0


def test_what_makes_no_sense_says_what_to_do(esteira: Esteira, worker: Worker, tmp_path: Path) -> None:
    for command in ("check", "stop"):
        answer = esteira("history", command)
        assert (answer.code, answer.err.splitlines()[-1]) == (
            2,
            "esteira: nothing is recorded here: `esteira history start` begins it",
        )
    esteira("history", "start")
    assert "`esteira history stop` ends it" in esteira("history", "start").err
    assert "say --yes" in esteira("history", "stop").err
    assert "cannot be read" in esteira("history", "check", "--ledger", tmp_path / "nowhere").err
    assert "job_id and attempt" in esteira("history", "check", "--effects", "nowhere").err
    (tmp_path / "ledger").write_text("nonsense\n")
    assert "line 1 of" in esteira("history", "check", "--ledger", tmp_path / "ledger").err
