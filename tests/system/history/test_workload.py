"""Clients of all kinds ask for everything while workers are killed, stopped and cut off: what is promised holds.

HISTORY_SECONDS makes it longer, HISTORY_SEED another: CONTRIBUTING.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from esteira.history import Effects, Report, check
from esteira.job_filter import JobFilter
from tests.system.history import history_tasks as tasks
from tests.system.history.clients import ANY_ACTION, CANCEL_LATER, EFFECT_ACTIONS, Clients, ask_for
from tests.system.history.conftest import LEASE, SECONDS, SEED
from tests.system.history.nemesis import FAULTS, KILLS, Nemesis
from tests.worker.conftest import until
from tests.worker.processes import Jobs, Service

pytestmark = pytest.mark.timeout(300 + 3 * SECONDS)
EFFECTS = Effects("public.effect", tasks.WITH_EFFECT)
# A busy machine takes its time to start an engine anew. test_worker_mutants.py looks at Liveness closely.
SLACK = timedelta(seconds=15)
# Completed jobs by how often each effect of theirs is there: everything but once each is wrong.
TIMES = """
select job.task, job.status,
       (select count(*) from public.effect where job_id = job.id and step is null) as completions,
       (select count(*) from public.effect where job_id = job.id and step is not null) as steps,
       count(*) as jobs
from esteira.job as job where job.task = any($1)
group by 1, 2, 3, 4
"""

LEFT = """
select job.task, why.code, why.detail, count(*)
from esteira.job_live as job cross join lateral esteira.explain(job.id) as why group by 1, 2, 3
"""


async def drain(clients: Clients, jobs: Jobs) -> None:
    """Give the dead one more life, and wait until all have ended."""
    jobs.sql(CANCEL_LATER)
    await ended(jobs, 90 + SECONDS)
    await clients.client.retry_many(JobFilter(status=["dead"]))
    await ended(jobs, 90)


async def ended(jobs: Jobs, within: float) -> None:
    """Wait until nothing lives any more: what crashed twice may be put off for a minute."""
    try:
        await until(lambda: jobs.live() == 0, within=within)
    except TimeoutError:
        pytest.fail(f"seed {SEED}: after {within} s there still are {jobs.sql(LEFT)}")


async def judged(clients: Clients, nemesis: Nemesis) -> Report:
    report = await check(
        clients.client.database,
        ledger=clients.ledger.path,
        effects=EFFECTS,
        drained=True,
        lease=LEASE,
        slack=SLACK,
    )
    print(f"seed {SEED}: {report.jobs:,} jobs, {report.transitions:,} changes, {dict(nemesis.faults)}")  # noqa: T201
    assert report.violation is None, f"seed {SEED}, {report}"
    return report


async def test_a_history_under_all_faults_holds_every_promise(
    clients: Clients, nemesis: Nemesis, jobs: Jobs, service: Service
) -> None:
    clients.service = service
    await nemesis.start(processes=2)
    seconds = SECONDS or 14
    await asyncio.gather(ask_for(clients, ANY_ACTION, seed=SEED, seconds=seconds), nemesis.run(FAULTS, seconds - 2))
    await drain(clients, jobs)
    report = await judged(clients, nemesis)
    assert report.not_checked == {}
    assert report.jobs > 300
    outcomes = {row["outcome"] for row in jobs.sql("select distinct outcome from esteira.attempt")}
    assert outcomes >= {"failed", "snoozed", "cancelled"}
    assert outcomes & {"crashed", "lost"}


async def test_effects_are_there_once_for_each_completed_job_whatever_is_killed(
    clients: Clients, nemesis: Nemesis, jobs: Jobs
) -> None:
    await nemesis.start()
    seconds = SECONDS or 8
    await asyncio.gather(ask_for(clients, EFFECT_ACTIONS, seed=SEED, seconds=seconds), nemesis.run(KILLS, seconds))
    await drain(clients, jobs)
    await judged(clients, nemesis)
    completed: Counter[str] = Counter()
    for row in await clients.client.database.fetch(TIMES, list(tasks.IN_STEP_TOO)):
        if row["status"] == "completed":
            assert (row["completions"], row["steps"]) == (1, 1), dict(row)
            completed[row["task"]] += row["jobs"]
        else:
            assert (row["completions"], row["status"]) == (0, "dead"), dict(row)
    assert completed.keys() == tasks.IN_STEP_TOO
    assert min(completed.values()) > 20
