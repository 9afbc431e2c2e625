"""Two services and three workers on one database, one of which is killed: every job is done exactly once."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.worker.processes import Jobs, eventually, running_service, running_worker

if TYPE_CHECKING:
    from contextlib import ExitStack

TASKS = "everywhere_tasks"
EACH = 60
TAKEN = "select count(distinct worker_id) from esteira.job_live where status = 'running'"


def test_jobs_posted_to_both_services_are_done_once_though_a_worker_is_killed(
    jobs: Jobs, database_url: str, tmp_path: Path, stack: ExitStack
) -> None:
    shutil.copy(Path(__file__).parent / f"{TASKS}.py", tmp_path)
    jobs.sql("create table effect (number integer, job_id uuid)")
    services = [stack.enter_context(running_service(tmp_path, database_url)) for _ in range(2)]
    workers = [
        stack.enter_context(running_worker(tmp_path, database_url, modules=TASKS, slots=8, lease_ticks=3))
        for _ in range(3)
    ]
    for worker in workers:
        eventually(lambda: worker.events("engine_started"), within=60)  # noqa: B023 - it is over before the loop goes on
    held = threading.Event()

    def post(number: int) -> tuple[str, dict[str, object]]:
        """Post to one service, and wait at the other."""
        task = "e.linger" if number % 3 else "e.in_thread"
        job_id = services[number % 2].post(task, {"number": number})
        if number >= EACH:
            held.set()
        return job_id, services[(number + 1) % 2].ended(job_id)

    with ThreadPoolExecutor(2 * EACH) as people:
        posted = [people.submit(post, number) for number in range(2 * EACH)]
        held.wait(30)
        doomed = workers[0]
        owner = doomed.events("worker_started")[0]["worker_id"]
        eventually(lambda: jobs.sql("select id from esteira.job_live where worker_id = %s", owner), within=30)
        doomed.kill()
        answers = dict(answer.result() for answer in posted)
    assert {job["status"] for job in answers.values()} == {"completed"}
    effects = jobs.sql("select job_id::text from effect")
    assert Counter(row["job_id"] for row in effects) == dict.fromkeys(answers, 1)
    survivors = {worker.events("worker_started")[0]["worker_id"] for worker in workers[1:]}
    assert {str(row["id"]) for row in jobs.workers() if row["lost_at"] is None} == survivors
    lost = jobs.sql("select count(*) from esteira.attempt where worker_id = %s and outcome = 'lost'", owner)
    assert lost[0]["count"] > 0
