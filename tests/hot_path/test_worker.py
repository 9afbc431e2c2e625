"""What a real worker of one engine asks of the database, and the memory that it takes.

How many jobs fit into a batch is a matter of time, so these bounds are not near what was measured: they are far below
what one more statement or commit for each job, or one more loop that polls, would make.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hot_path.meter import Meter, show
from tests.worker.processes import Worker, eventually, running_worker

JOBS = 5_000
# Measured: 11 to 20 statements and as many commits in the second round, 24 to 29 in the first.
DRAIN_STATEMENTS = 0.02 * JOBS
DRAIN_COMMITS = 0.01 * JOBS
# Measured: 16.9 a job; on PostgreSQL 15, 23.8. A sweep, once a second, may step over what a vacuum would have removed.
DRAIN_BUFFERS = 20 * JOBS
DRAIN_BUFFERS_BEFORE_18 = 28 * JOBS
# Measured: 822 a job.
DRAIN_WAL_BYTES = 950 * JOBS
# Measured: 2, its claim and its settle. Where a poll comes between, its statements are added.
LONE_STATEMENTS = 3
# Measured: 4.7 to 5.3: heartbeat, tick, claim, the time of the next job, the queues, once each.
IDLE_STATEMENTS_A_SECOND = 7
IDLE_SECONDS = 3
# Measured: 63, of which 61 before the first job.
ENGINE_MEGABYTES = 80
MANY = "select esteira.enqueue_many(array_fill('t.noop'::text, array[%s::integer]))"
WAKE = "select esteira.notify_workers('{default}')"


@pytest.fixture
def worker(database_url: str, tmp_path: Path, meter: Meter) -> Iterator[Worker]:
    """A worker that has done its first jobs, one after the other."""
    shutil.copy(Path(__file__).parent / "noop_tasks.py", tmp_path)
    with running_worker(tmp_path, database_url, modules="noop_tasks", processes=1, slots=10) as worker:
        for _ in range(5):
            enqueue(meter, 1)
            wake(meter)
        yield worker


def enqueue(meter: Meter, count: int) -> None:
    meter.connection.execute(MANY, (count,))


def wake(meter: Meter) -> None:
    """Tell the worker, and wait until all is done."""
    meter.connection.execute(WAKE)
    eventually(lambda: meter.connection.execute("select from esteira.job_live").fetchone() is None)


def megabytes(pid: int) -> float:
    """The most that a process has had in memory."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def test_a_worker_asks_little_for_each_job_and_hardly_anything_when_idle(worker: Worker, meter: Meter) -> None:
    """One test: a worker takes more than a second to start."""
    lone(meter)
    idle(meter)
    drain(meter)
    (engine,) = worker.engines()
    show("an engine's megabytes", megabytes(engine))
    assert megabytes(engine) < ENGINE_MEGABYTES


def lone(meter: Meter, rounds: int = 20) -> None:
    asked = 0.0
    for _ in range(rounds):
        enqueue(meter, 1)
        meter.reset()
        wake(meter)
        asked += meter.read().statements or 0
        texts = meter.texts()
    show("statements for a lone job", asked / rounds)
    assert asked / rounds <= LONE_STATEMENTS, texts


def drain(meter: Meter) -> None:
    for _ in range(2):
        enqueue(meter, JOBS)
        meter.reset()
        wake(meter)
        spent = meter.read()
        show(f"draining {JOBS}", spent)
    assert (spent.statements or 0) <= DRAIN_STATEMENTS, meter.texts()
    assert (spent.commits or 0) <= DRAIN_COMMITS, meter.texts()
    assert (spent.buffers or 0) <= (DRAIN_BUFFERS if meter.version >= 18 else DRAIN_BUFFERS_BEFORE_18), meter.texts()
    assert (spent.wal_bytes or 0) <= DRAIN_WAL_BYTES, meter.texts()


def idle(meter: Meter) -> None:
    meter.reset()
    time.sleep(IDLE_SECONDS)
    asked = meter.read().statements or 0
    show("statements a second when idle", asked / IDLE_SECONDS)
    assert asked / IDLE_SECONDS <= IDLE_STATEMENTS_A_SECOND, meter.texts()
