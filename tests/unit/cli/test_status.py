from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from esteira.cli.report import Changes, JobReport

if TYPE_CHECKING:
    from collections.abc import Callable

    Esteira = Callable[..., Any]

TRACEBACK = """Traceback (most recent call last):
  File "shop.py", line 7, in bill
ValueError: the disk is full
"""


def test_a_running_job_is_shown_with_its_steps_and_how_far_it_is(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    worker.step(job, "download", 0.25)
    worker.progress(job, 0.45, "frame 120 of 300", "decode")
    answer = esteira("status", job)
    assert answer.code == 0
    for shown in (str(job), "running", "45%", "frame 120 of 300", "✓  download  2.0 s", "▸  decode"):
        assert shown in answer.out
    assert "why" not in answer.out


def test_a_dead_job_is_shown_with_its_attempts_and_its_error(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    worker.fail(job, "the disk is full", traceback=TRACEBACK)
    out = esteira("status", job).out
    assert "dead" in out
    assert "attempt 1  failed" in out
    assert "reason not_retryable" in out
    assert out.endswith("\n")
    below = out[out.index("error  ") :].splitlines()
    assert [line.rstrip() for line in below] == [
        "error  ValueError: the disk is full",
        "  Traceback (most recent call last):",
        '    File "shop.py", line 7, in bill',
    ]
    assert out.count("the disk is full") == 1


def test_without_a_terminal_a_long_line_is_not_broken(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    worker.fail(job, "no " * 200 + "end")
    assert "no " * 200 + "end" in esteira("status", job, COLUMNS="80").out


def test_a_watched_job_is_shown_once_without_a_terminal(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    worker.complete(job, "done")
    out = esteira("status", job, "--watch").out
    assert out == esteira("status", job).out
    assert out.endswith('result  "done"\n')


def test_a_completed_job_is_shown_with_its_result(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    worker.complete(job, {"verdict": "genuine"})
    out = esteira("status", job).out
    assert "100%" in out
    assert '"verdict": "genuine"' in out


def test_a_long_result_is_cut_and_says_where_the_rest_is(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    worker.complete(job, list(range(100)))
    out = esteira("status", job).out
    assert "more lines: --json shows all" in out
    assert "99" not in out.split("result")[1]


def test_a_job_that_nobody_can_run_says_why(esteira: Esteira) -> None:
    job = esteira("enqueue", "t").out.strip()
    assert 'No worker serves the queue "default"' in esteira("status", job).out


def test_json_is_the_job_with_its_steps_attempts_and_explanation(esteira: Esteira, worker: Any) -> None:
    job = worker.running({"number": 10**40})
    worker.step(job, "one", 0.5)
    answer = esteira("status", job, "--json").json
    assert (answer["id"], answer["status"], answer["payload"]) == (str(job), "running", {"number": 10**40})
    assert [step["name"] for step in answer["steps"]] == ["one"]
    assert answer["attempts"] == []
    assert answer["explanation"]["code"] == "running"


def test_text_from_users_neither_colours_nor_steers_the_terminal(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    worker.progress(job, 0.1, "[bold]literally[/bold] \x1b[2Jgone")
    out = esteira("status", job).out
    assert "[bold]literally[/bold]" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(("end", "code"), [("complete", 0), ("fail", 1), ("cancel", 6)])
def test_watch_ends_with_the_job_and_tells_how(esteira: Esteira, worker: Any, end: str, code: int) -> None:
    job = worker.running()
    getattr(worker, end)(job)
    assert esteira("status", job, "--watch").code == code
    assert esteira("status", job).code == 0


def test_watch_as_json_prints_a_line_for_each_change(start_esteira: Callable[..., Any], worker: Any) -> None:
    job = worker.running()
    with start_esteira("status", job, "--watch", "--json") as process:
        seen = [json.loads(process.stdout.readline())]
        worker.progress(job, 0.5, "half")
        seen.append(json.loads(process.stdout.readline()))
        worker.complete(job, "done")
        seen.append(json.loads(process.stdout.readline()))
        assert process.wait(20) == 0
        assert process.stdout.read() == ""
    assert [(report["status"], report["progress"]) for report in seen] == [
        ("running", 0),
        ("running", 0.5),
        ("completed", 1),
    ]


def test_the_passing_of_time_is_no_change(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    report = JobReport.model_validate_json(esteira("status", job, "--json").out)
    explanation = report.explanation.model_copy(update={"detail": "It has been running for longer."})
    later = report.model_copy(update={"execution_time_seconds": 99.0, "explanation": explanation})
    changes = Changes()
    assert changes.of([report]) == [report]
    assert changes.of([later]) == []
    further = later.model_copy(update={"progress": 0.5})
    assert changes.of([further]) == [further]


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["status", "--watch"], ["explain"]])
def test_a_job_that_is_not_there_is_reported_in_one_sentence(esteira: Esteira, arguments: list[str]) -> None:
    missing = uuid4()
    answer = esteira(*arguments, missing)
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == f"esteira: no job {missing}: `esteira jobs` lists the newest ones\n"


def test_what_is_no_id_is_a_usage_error(esteira: Esteira) -> None:
    answer = esteira("status", "42")
    assert (answer.code, answer.out) == (2, "")
