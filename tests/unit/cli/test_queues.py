from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Esteira = Callable[..., Any]


def test_queues_are_listed_with_their_depth(esteira: Esteira, worker: Any) -> None:
    worker.fail(worker.running())
    esteira("enqueue", "t")
    esteira("enqueue", "t", "--queue", "lonely", "--delay", "1h")
    out = esteira("queues").out.splitlines()
    assert out[0].split() == ["queue", "ready", "scheduled", "running", "waiting", "dead", "workers", "oldest", "note"]
    assert out[1].split() == ["default", "1", "0", "0", "0", "1", "1", "0", "s"]
    assert [row["scheduled"] for row in esteira("queues", "--json").json] == [0, 1]


def test_ready_jobs_that_nobody_serves_are_pointed_at(esteira: Esteira) -> None:
    esteira("enqueue", "t", "--queue", "lonely")
    assert "no worker" in esteira("queues").out


def test_without_queues_and_tasks_the_lists_say_how_to_begin(esteira: Esteira) -> None:
    assert "esteira enqueue TASK" in esteira("queues").out
    assert "esteira worker --tasks MODULE" in esteira("tasks").out
    assert (esteira("queues", "--json").json, esteira("tasks", "--json").json) == ([], [])


def test_a_queue_is_paused_and_resumed(esteira: Esteira, worker: Any) -> None:
    job = esteira("enqueue", "t").out.strip()
    answer = esteira("pause", "default")
    assert answer.out.startswith("the queue default is paused since ")
    assert "`esteira resume default` ends it" in answer.out
    assert worker.claim() is None
    assert "paused" in esteira("queues").out
    assert esteira("resume", "default").out == "the queue default goes on\n"
    assert esteira("resume", "default", "--json").json == {"queue": "default", "resumed": False}
    assert str(worker.claim()) == job


def test_a_queue_that_nobody_has_heard_of_is_paused_with_a_word(esteira: Esteira) -> None:
    answer = esteira("pause", "typo")
    assert answer.code == 0
    assert "nothing has been heard of a queue typo before" in answer.err
    assert esteira("pause", "typo").err == ""


def test_a_task_is_paused_and_resumed(esteira: Esteira, worker: Any) -> None:
    esteira("enqueue", "t")
    assert "`esteira resume --task t` ends it" in esteira("pause", "--task", "t").out
    assert worker.claim() is None
    [task] = esteira("tasks", "--json").json
    assert task["paused_at"] == esteira("pause", "--task", "t", "--json").json["paused_at"]
    assert "paused" in esteira("tasks").out
    assert esteira("resume", "t", "--task").out == "the task t goes on\n"
    assert worker.claim() is not None


def test_a_task_that_is_not_declared_cannot_be_paused(esteira: Esteira) -> None:
    answer = esteira("pause", "--task", "typo")
    assert (answer.code, answer.out) == (3, "")
    assert "`esteira tasks` lists" in answer.err


def test_a_queue_is_purged_of_what_does_not_run(esteira: Esteira, worker: Any) -> None:
    running = worker.running()
    esteira("enqueue", "t")
    esteira("enqueue", "t", "--delay", "1h")
    assert "this would cancel 2 jobs of the queue default: say --yes" in esteira("purge", "default").err
    assert esteira("purge", "default", "--yes").out == "cancelled 2 jobs of the queue default\n"
    assert esteira("purge", "default", "--json").json == {"queue": "default", "cancelled": 0}
    assert esteira("status", running, "--json").json["status"] == "running"


def test_how_long_a_queue_keeps_its_ended_jobs_is_set_one_by_one_and_shown(esteira: Esteira) -> None:
    esteira("enqueue", "t", "--queue", "mail")
    assert esteira("keep", "mail").out == (
        "the queue mail keeps finished jobs as long as elsewhere, dead ones as long as elsewhere\n"
    )
    assert "kept" not in esteira("queues").out
    esteira("keep", "mail", "--finished", "3d")
    assert esteira("keep", "mail", "--dead", "10d").out == "the queue mail keeps finished jobs 3 d, dead ones 10 d\n"
    assert "3 d, 10 d" in esteira("queues").out
    kept = esteira("keep", "mail", "--finished", "default", "--json").json
    assert kept == {"queue": "mail", "keep_finished_seconds": None, "keep_dead_seconds": 864000}
    answer = esteira("keep", "mail", "--dead", "soon")
    assert (answer.code, answer.err) == (2, 'esteira: "soon" is not a duration: write 30s, 10m, 1h30m, 2d\n')
