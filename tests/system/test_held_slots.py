"""A worker whose slots take no job says so: threads left behind by timeouts, and a loop that is blocked."""

from __future__ import annotations

from typing import Any

from tests.system.conftest import StartWorker
from tests.worker.processes import Jobs, eventually


def explained(jobs: Jobs, job: str) -> dict[str, Any]:
    [row] = jobs.sql("select code, detail from esteira.explain(%s)", job)
    return row


def is_held(jobs: Jobs, job: str) -> bool:
    return bool(explained(jobs, job)["code"] == "workers_held")


def test_slots_held_by_threads_that_outlast_their_timeout_are_told_and_come_back(
    jobs: Jobs, start_worker: StartWorker
) -> None:
    worker = start_worker(slots=2)
    eventually(lambda: worker.events("worker_started"))
    for _ in range(2):
        jobs.enqueue("t.outlast", {"seconds": 12}, max_attempts=1)
    eventually(lambda: jobs.sql("select true from esteira.worker where held_slots = 2"))
    waiting = jobs.enqueue("t.add", {"a": 1, "b": 2})
    eventually(lambda: is_held(jobs, waiting))
    assert "hold 2 of its 2 slots" in explained(jobs, waiting)["detail"]
    eventually(lambda: worker.events("slot_held"))
    assert {line["task"] for line in worker.events("slot_held")} == {"t.outlast"}
    assert jobs.ended(waiting)["status"] == "completed"
    eventually(lambda: jobs.sql("select true from esteira.worker_status where held_slots = 0 and trouble is null"))


def test_a_blocked_loop_is_told_with_the_line_that_blocks_it(jobs: Jobs, start_worker: StartWorker) -> None:
    worker = start_worker(slots=2)
    eventually(lambda: worker.events("worker_started"))
    jobs.enqueue("t.block_the_loop", {"seconds": 7})
    [blocked] = eventually(lambda: worker.events("loop_blocked"))
    assert blocked["tasks"] == ["t.block_the_loop"]
    assert "in block_the_loop" in blocked["stack"]
    waiting = jobs.enqueue("t.add", {"a": 1, "b": 2})
    eventually(lambda: is_held(jobs, waiting))
    assert "a handler blocks the event loop" in explained(jobs, waiting)["detail"]
    [stalled] = eventually(lambda: worker.events("engine_stalled"))
    assert stalled["what"] == "loop"
    assert jobs.ended(waiting)["status"] == "completed"
    assert eventually(lambda: worker.events("loop_turns_again"))
    eventually(lambda: jobs.sql("select true from esteira.worker_status where trouble is null"))
