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


def test_a_dead_job_is_discarded_for_good(esteira: Esteira, worker: Any) -> None:
    job, other = worker.running(), worker.running()
    worker.fail(job)
    worker.fail(other)
    assert esteira("discard", job).out == f"job {job} is discarded\n"
    assert esteira("discard", other, "--json").json == {"id": str(other), "discarded": True}
    assert esteira("status", job).code == 3


def test_what_is_wrong_with_one_job_does_not_spare_the_others(esteira: Esteira, worker: Any) -> None:
    done = worker.running()
    worker.complete(done)
    queued = esteira("enqueue", "t").out.strip()
    answer = esteira("cancel", done, uuid4(), queued, "--json")
    assert answer.code == 4
    assert answer.json["id"] == queued
    assert [f"job {done} is completed" in answer.err, len(answer.err.splitlines())] == [True, 2]


def test_without_ids_and_filters_nothing_is_done(esteira: Esteira) -> None:
    job = esteira("enqueue", "t").out.strip()
    assert esteira("cancel", "--yes").code == 2
    assert esteira("cancel", job, "--queue", "default", "--yes").code == 2
    assert esteira("status", job, "--json").json["status"] == "queued"


def test_a_job_is_edited(esteira: Esteira) -> None:
    job = esteira("enqueue", "t", "--tag", "old").out.strip()
    changes = ("--priority", "high", "--queue", "q", "--run-at", "2130-01-01T00:00Z", "--metadata", '{"a": 1}')
    edited = esteira("edit", job, *changes, "--tag", "", "--payload", "[1]", "--json").json
    assert (edited["priority"], edited["queue"], edited["run_at"]) == ("high", "q", "2130-01-01T00:00:00Z")
    assert (edited["metadata"], edited["tags"], edited["payload"]) == ({"a": 1}, [], [1])
    answer = esteira("edit", job, "--priority", "low", "--tag", "new,newer")
    assert answer.out == f"job {job} has changed: priority, tags\n"
    assert esteira("status", job, "--json").json["tags"] == ["new", "newer"]


def test_an_edit_of_nothing_or_of_what_is_fixed_is_refused(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    assert esteira("edit", job).code == 2
    answer = esteira("edit", job, "--priority", "high")
    assert (answer.code, answer.out) == (4, "")
    assert f"`esteira status {job}` shows it" in answer.err
    assert esteira("edit", job, "--metadata", "[1]").code == 2
