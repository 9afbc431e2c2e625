from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Esteira = Callable[..., Any]


def test_a_queued_job_is_cancelled_at_once(esteira: Esteira) -> None:
    job = esteira("enqueue", "t").out.strip()
    answer = esteira("cancel", job)
    assert (answer.code, answer.out) == (0, f"job {job} is cancelled\n")


def test_a_running_job_is_asked_to_stop(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    assert esteira("cancel", job).out.startswith(f"asked job {job} to stop")
    answer = esteira("cancel", job, "--json").json
    assert answer["status"] == "running"
    assert answer["cancel_requested_at"] is not None


def test_a_dead_job_is_given_another_life(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    worker.fail(job)
    answer = esteira("retry", job, "--json")
    assert answer.code == 0
    assert (answer.json["status"], answer.json["generation"], answer.json["failures"]) == ("queued", 2, 0)


@pytest.mark.parametrize(("command", "end"), [("cancel", "complete"), ("retry", "complete")])
def test_a_wrong_status_has_a_code_of_its_own(esteira: Esteira, worker: Any, command: str, end: str) -> None:
    job = worker.running()
    getattr(worker, end)(job)
    answer = esteira(command, job)
    assert (answer.code, answer.out) == (4, "")
    assert f"job {job} is completed" in answer.err
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_a_job_that_is_not_there_has_a_code_of_its_own(esteira: Esteira, command: str) -> None:
    assert esteira(command, uuid4()).code == 3


def test_explain_says_it_in_a_sentence_or_with_its_code(esteira: Esteira) -> None:
    job = esteira("enqueue", "t", "--queue", "lonely").out.strip()
    assert esteira("explain", job).out.startswith('No worker serves the queue "lonely".')
    assert esteira("explain", job, "--json").json["code"] == "no_worker"


def test_workers_are_listed_with_what_they_do(esteira: Esteira, worker: Any) -> None:
    worker.running()
    out = esteira("workers", COLUMNS="160").out
    for shown in (str(worker.id), "alive", "host:42", "1/10", "all", "t"):
        assert shown in out
    [listed] = esteira("workers", "--json").json
    assert (listed["id"], listed["state"], listed["running"]) == (str(worker.id), "alive", 1)


def test_no_workers_says_how_to_start_one(esteira: Esteira) -> None:
    assert "esteira worker --tasks MODULE" in esteira("workers").out
    assert esteira("workers", "--json").out == "[]\n"
