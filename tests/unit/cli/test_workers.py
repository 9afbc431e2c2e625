from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

    Esteira = Callable[..., Any]


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


def test_a_worker_is_asked_to_leave(esteira: Esteira, worker: Any) -> None:
    assert esteira("drain", worker.id).out.startswith(f"asked worker {worker.id} to leave")
    assert esteira("drain", worker.id, "--json").json.keys() == {"worker_id", "drain_at"}
    assert esteira("workers", "--json").json[0]["state"] == "draining"


def test_a_worker_that_is_not_there_has_a_code_of_its_own(esteira: Esteira) -> None:
    answer = esteira("drain", uuid4())
    assert (answer.code, answer.out) == (3, "")
    assert "`esteira workers` lists" in answer.err


def test_held_slots_and_engines_that_stand_still_are_noted(esteira: Esteira, worker: Any) -> None:
    worker.connection.execute("select esteira.heartbeat(%s, 2, array[0], interval '5 s')", (worker.id,))
    assert "2 held, 1 stalled" in esteira("workers", COLUMNS="160").out
    [listed] = esteira("workers", "--json").json
    assert (listed["held_slots"], listed["stalled_engines"], listed["free_slots"]) == (2, [0], 0)
    assert "esteira drain" in listed["trouble"]
