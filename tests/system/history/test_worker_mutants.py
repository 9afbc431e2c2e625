"""The checker notices workers and clients that break promises, and names what they break. Workers are real ones.

Each has a module that changes the worker as it imports its tasks (mutants/); nothing in the sources is touched.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from esteira import Client
from esteira.database import Database, fetch_with
from esteira.history import Effects, Ledger, Report, check
from esteira.new_job import Enqueued, enqueue_statement
from tests.system.conftest import StartWorker
from tests.system.history.clients import NUMBERS, Clients, Person
from tests.system.history.conftest import LEASE
from tests.system.history.sql_mutants import BY_SECONDS, mutate
from tests.worker.conftest import until
from tests.worker.processes import Jobs, Worker

MUTANTS = Path(__file__).parent / "mutants"
EFFECTS = Effects("public.effect")
SLACK = timedelta(seconds=0.5)
StartMutant = Callable[[str], Worker]


@pytest.fixture
def start_mutant(start_recorded: StartWorker, tmp_path: Path) -> StartMutant:
    """Start a worker with one of the modules of mutants/."""
    shutil.copytree(MUTANTS, tmp_path, dirs_exist_ok=True)
    return lambda module: start_recorded(modules=module)


async def judged(database: Database, ledger: Ledger, **terms: Any) -> Report:
    return await check(database, ledger=ledger.path, whole_ledger=False, effects=EFFECTS, lease=LEASE, **terms)


def assert_broken(report: Report, invariant: str, sentence: str) -> None:
    found = {violation.invariant: violation.sentence for violation in report.violations}
    assert re.fullmatch(sentence, found.get(invariant, "")), str(report)


async def commit_below_the_floor(jobs: Jobs, database: Database, worker: Worker) -> UUID:
    """Enqueue a job and commit it after those that followed it are done: it lies below the engine's floor."""
    await until(lambda: worker.events("engine_started"), within=60)
    async with database.acquire() as connection, connection.transaction():
        late: UUID = await connection.fetchval("select esteira.enqueue('h.add', '{\"a\": 1, \"b\": 1}')")
        for _ in range(4):
            done = jobs.enqueue("h.add", NUMBERS)
            await until(lambda job=done: jobs.get(job)["finished_at"], within=30)
    return late


async def beats(database: Database, number: int) -> None:
    """Wait for so many heartbeats."""
    query = "select sum(beats) from esteira.worker"
    first = await database.fetchval(query)

    async def came() -> bool:
        return bool(await database.fetchval(query) >= first + number)

    await until(came, within=60)


async def test_without_the_sweep_what_is_committed_late_waits_for_ever(
    jobs: Jobs, recorded: Database, ledger: Ledger, start_mutant: StartMutant
) -> None:
    late = await commit_below_the_floor(jobs, recorded, start_mutant("without_sweep"))
    await beats(recorded, 5)
    assert jobs.get(str(late))["attempt"] == 0
    report = await judged(recorded, ledger, slack=SLACK)
    assert_broken(report, "Liveness", r"it was ready for \d\.\d s while worker .+ had a free slot")


async def test_the_sweep_finds_what_is_committed_late(
    jobs: Jobs, recorded: Database, ledger: Ledger, start_recorded: StartWorker
) -> None:
    late = await commit_below_the_floor(jobs, recorded, start_recorded())
    await until(lambda: jobs.get(str(late))["status"] == "completed", within=30)
    report = await judged(recorded, ledger, drained=True, slack=timedelta(seconds=5))
    assert report.violation is None, str(report)


@pytest.mark.parametrize(
    ("module", "task", "sentence"),
    [
        ("effects_apart", "h.effect", r"the effect of attempt 1 is there, and attempt 2 completed"),
        ("effects_apart", "h.both_in_process", r"the effect of attempt 1 is there, and attempt 2 completed"),
        ("step_apart", "h.both", r'the effect of step "reserve" of attempt 1 is there, and no such step was stored'),
        (
            "step_apart",
            "h.both_in_process",
            r'the effect of step "reserve" of attempt 1 is there, and no such step was stored',
        ),
    ],
)
async def test_effects_that_are_committed_apart_are_there_twice(
    jobs: Jobs, recorded: Database, ledger: Ledger, start_mutant: StartMutant, module: str, task: str, sentence: str
) -> None:
    start_mutant(module)
    job = jobs.enqueue(task, {"seconds": 0, "failures": 0} if task != "h.effect" else {"seconds": 0})
    await until(lambda: jobs.get(job)["status"] == "completed", within=60)
    assert_broken(await judged(recorded, ledger, drained=True, slack=timedelta(minutes=1)), "Effects", sentence)


async def test_a_worker_that_forgets_endings_finishes_nothing(
    jobs: Jobs, recorded: Database, ledger: Ledger, start_mutant: StartMutant
) -> None:
    start_mutant("forgets_endings")
    job = jobs.enqueue("h.add", NUMBERS)
    await until(lambda: "ended" in ledger.path.read_text(), within=60)
    assert jobs.is_running(job)
    report = await judged(recorded, ledger, drained=True)
    assert_broken(report, "No loss", r"all is said to be drained, and it is running")


async def test_a_worker_that_hands_out_a_job_twice_has_it_begun_twice(
    jobs: Jobs, recorded: Database, ledger: Ledger, start_mutant: StartMutant
) -> None:
    start_mutant("runs_twice")
    job = jobs.enqueue("h.sleep", {"seconds": 0.1})
    await until(lambda: jobs.get(job)["status"] == "completed", within=60)
    await until(lambda: ledger.path.read_text().count("ended") == 2)
    report = await judged(recorded, ledger, slack=timedelta(minutes=1))
    assert_broken(report, "One owner", r"attempt 1 began twice, as line 2 of the ledger says")


async def test_a_rescue_by_wall_time_gives_up_a_worker_that_was_only_held_up(
    jobs: Jobs, recorded: Database, ledger: Ledger, start_recorded: StartWorker
) -> None:
    async with recorded.acquire() as connection:
        await mutate(connection, "tick", BY_SECONDS)
    worker = start_recorded()
    await until(lambda: jobs.workers() and jobs.workers()[0]["beats"] > 1, within=60)
    async with recorded.acquire() as connection, connection.transaction():
        await connection.execute("lock table esteira.worker in exclusive mode")
        # The next beat comes a second later; a tick waits already.
        await until(lambda: worker.events("database_away"), within=30)
    await until(lambda: worker.events("worker_given_up"), within=30)
    sentence = rf"worker .+ was given up after [01] silent ticks; its lease is {LEASE}"
    assert_broken(await judged(recorded, ledger), "No false loss", sentence)


async def test_a_client_that_answers_before_the_commit_loses_jobs(
    clients: Clients, recorded: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncommitted = []

    async def answer_first(self: Client, jobs: Any, db: Any, *, atomic: bool) -> Any:
        connection = await self.database.connect()
        await connection.execute("begin")
        uncommitted.append(connection)
        statement, values = enqueue_statement(jobs, atomic=atomic)
        return await fetch_with(connection, statement, *values)

    monkeypatch.setattr(Client, "_enqueue", answer_first)
    await Person(clients, "somebody", Random(1)).quick_job()
    (connection,) = uncommitted
    await recorded.fetch("select pg_terminate_backend($1, 1000)", connection.get_server_pid())
    connection.terminate()
    report = await judged(recorded, ledger)
    assert_broken(report, "No loss", r"it was acknowledged \(line 2 of the ledger\), and it is nowhere")


async def test_a_client_that_does_not_use_the_callers_transaction_leaves_phantoms(
    clients: Clients, recorded: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue = Client._enqueue

    async def apart(self: Client, jobs: Any, db: Any, *, atomic: bool) -> list[Enqueued]:
        return await enqueue(self, jobs, None, atomic=atomic)

    monkeypatch.setattr(Client, "_enqueue", apart)
    somebody = Person(clients, "somebody", Random(1))
    while "rolled_back" not in ledger.path.read_text():
        await somebody.job_in_transaction()
    report = await judged(recorded, ledger)
    assert_broken(report, "No phantom", r"it was enqueued by the request .+, which was rolled back")
