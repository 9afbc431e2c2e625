"""Liveness is seen to fail, and to hold where nobody could have claimed. Seconds are written into the record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from esteira.database import Database
from esteira.history import Ledger, start, stop
from tests.sql.conftest import Queue
from tests.unit.history.conftest import Check, First

SLACK = timedelta(seconds=0.5)
BEGAN = datetime.fromisoformat("2030-01-01T12:00:00Z")
CLAIM = """
update esteira.job_live
set status = 'running', attempt = attempt + 1, worker_id = gen_random_uuid(), engine = 0, started_at = esteira.now()
where id = $1"""


class Timeline:
    """A worker that has claimed and completed a job, and beats once a second from then on."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._connection = queue.connection

    async def begin(self) -> None:
        await self._queue.register()
        await self._queue.complete(await self._queue.running())
        await self.happened_at(0)

    async def beat(self, begin: int, end: int) -> None:
        for second in range(begin, end):
            await self._queue.rows("heartbeat", self._queue.worker)
            await self.happened_at(second)

    async def happened_at(self, second: float) -> None:
        """Put all that was recorded since the last time to that moment."""
        when = BEGAN + timedelta(seconds=second)
        for table in ("transition", "worker", "note"):
            put = "update esteira_history.{} set clock = $1, at = $1 where clock not between $2 and $3"
            await self._connection.execute(put.format(table), when, BEGAN, BEGAN + timedelta(hours=1))
        pause = "update esteira_history.pause set clock = $1 where clock not between $2 and $3"
        await self._connection.execute(pause, when, BEGAN, BEGAN + timedelta(hours=1))

    async def enqueue(self, second: float, task: str = "t") -> UUID:
        """Enqueue a job that is ready at that moment."""
        job = await self._queue.enqueue(task)
        ready = "update esteira_history.transition set ready_at = $2 where job_id = $1"
        await self._connection.execute(ready, job, BEGAN + timedelta(seconds=second))
        await self.happened_at(second)
        # Later beats see it.
        sees = "update esteira_history.worker set snapshot = pg_current_snapshot() where clock > $1"
        await self._connection.execute(sees, BEGAN + timedelta(seconds=second))
        return job

    async def claim(self, second: float) -> None:
        assert await self._queue.claim()
        await self.happened_at(second)


@pytest_asyncio.fixture
async def beginning(queue: Queue) -> Timeline:
    """Nothing but the beginning."""
    made = Timeline(queue)
    await made.begin()
    return made


@pytest_asyncio.fixture
async def timeline(beginning: Timeline) -> Timeline:
    """One minute of it."""
    await beginning.beat(0, 61)
    return beginning


async def test_a_ready_job_that_a_free_worker_leaves_alone_breaks_liveness(
    timeline: Timeline, queue: Queue, first: First
) -> None:
    job = await timeline.enqueue(10.5)
    await timeline.claim(14)
    late = f"it was ready for 3.0 s while worker {queue.worker} had a free slot"
    assert await first(slack=SLACK) == ("Liveness", job, late)
    assert await first(slack=timedelta(seconds=2)) is None


async def test_a_job_that_is_never_claimed_breaks_liveness(timeline: Timeline, queue: Queue, first: First) -> None:
    job = await timeline.enqueue(50.5)
    late = f"it was ready for 9.0 s while worker {queue.worker} had a free slot"
    assert await first(slack=SLACK) == ("Liveness", job, late)


async def test_a_job_that_is_claimed_in_time_is_in_order(timeline: Timeline, first: First) -> None:
    await timeline.enqueue(10.5)
    await timeline.claim(12.4)
    assert await first(slack=SLACK) is None


async def test_a_job_whose_transaction_was_under_way_is_ready_when_it_commits(
    beginning: Timeline, queue: Queue, other: Queue, first: First
) -> None:
    await beginning.beat(0, 10)
    late = other.connection.transaction()
    await late.start()
    await other.enqueue()
    await beginning.beat(10, 21)
    await late.commit()
    await beginning.happened_at(10.5)
    await beginning.beat(21, 31)
    # Committed after 20 s, seen at 21 s, claimed within the 2 s that are granted.
    await beginning.claim(23)
    assert await first(slack=SLACK) is None
    await queue.connection.execute(
        "update esteira_history.transition set clock = $1 + interval '2 s', at = $1 + interval '2 s' where clock = $1",
        BEGAN + timedelta(seconds=23),
    )
    found = await first(slack=SLACK)
    assert found is not None
    assert (found[0], found[2][:24]) == ("Liveness", "it was ready for 4.0 s w")


async def idle(queue: Queue, timeline: Timeline) -> None:
    """Nothing is in the way."""


async def full(queue: Queue, timeline: Timeline) -> None:
    """All ten slots are taken."""
    await queue.enqueue_many(10)
    await timeline.happened_at(5)
    await timeline.claim(5)


async def suspect(queue: Queue, timeline: Timeline) -> None:
    """A job that crashed twice has the engine for itself."""
    await queue.connection.execute(
        "insert into esteira.job_live (queue, task, attempt, crashes) values ('default', 't', 2, 2)"
    )
    await timeline.happened_at(5)
    await timeline.claim(5)


async def paused(queue: Queue, timeline: Timeline) -> None:
    await queue.call("pause", "default")
    await timeline.happened_at(5)


async def paused_task(queue: Queue, timeline: Timeline) -> None:
    await queue.call("pause_task", "t")
    await timeline.happened_at(5)


async def draining(queue: Queue, timeline: Timeline) -> None:
    await queue.connection.execute(
        "update esteira_history.worker set drain_at = now() where clock > $1", BEGAN + timedelta(seconds=8)
    )


async def silent(queue: Queue, timeline: Timeline) -> None:
    await queue.connection.execute("delete from esteira_history.worker where clock between $1 and $2", *span(8, 16))


async def elsewhere(queue: Queue, timeline: Timeline) -> None:
    await queue.connection.execute("update esteira_history.worker set queues = '{other}' where queues is null")


async def unable(queue: Queue, timeline: Timeline) -> None:
    await queue.connection.execute("update esteira_history.worker set tasks = '{other}' where tasks is not null")


async def crashed(queue: Queue, timeline: Timeline) -> None:
    await queue.running("t")
    await queue.call("crash", queue.worker, 0, "killed")
    await timeline.happened_at(9)
    await timeline.claim(9)


def span(begin: int, end: int) -> tuple[datetime, datetime]:
    return BEGAN + timedelta(seconds=begin), BEGAN + timedelta(seconds=end)


@pytest.mark.parametrize(
    ("hindrance", "excuses"),
    [
        (idle, False),
        *[(each, True) for each in (full, suspect, paused, paused_task, draining, silent, elsewhere, unable, crashed)],
    ],
)
async def test_who_cannot_claim_breaks_no_liveness(
    timeline: Timeline,
    queue: Queue,
    first: First,
    *,
    hindrance: Callable[[Queue, Timeline], Awaitable[None]],
    excuses: bool,
) -> None:
    await hindrance(queue, timeline)
    job = await timeline.enqueue(10)
    await queue.connection.execute(CLAIM, job)
    await timeline.happened_at(15)
    found = await first(slack=SLACK)
    assert (found is None or found[0] != "Liveness") is excuses, found


async def test_after_a_fault_nobody_is_expected_to_be_quick(timeline: Timeline, first: First, ledger: Ledger) -> None:
    await timeline.enqueue(10)
    await timeline.claim(15)
    fault = f'{{"at": {(BEGAN + timedelta(seconds=9)).timestamp()}, "kind": "fault"}}\n'
    assert await first(slack=SLACK, ledger=ledger.path, whole_ledger=False) is not None
    ledger.path.write_text(fault)
    assert await first(slack=SLACK, ledger=ledger.path, whole_ledger=False) is None


async def test_without_a_worker_or_under_a_fake_clock_it_is_not_checked(queue: Queue, report: Check) -> None:
    assert "no worker" in (await report()).not_checked["Liveness"]
    await queue.register()
    await queue.rows("heartbeat", queue.worker)
    assert "Liveness" in (await report()).checked
    await queue.connection.execute("set esteira.fake_now = '2040-01-01Z'")
    await queue.enqueue()
    assert "fake_now" in (await report()).not_checked["Liveness"]


async def test_a_worker_that_beat_before_recording_began_says_nothing_yet(
    queue: Queue, recorded: Database, report: Check
) -> None:
    await stop(recorded)
    await queue.register()
    await queue.rows("heartbeat", queue.worker)
    await start(recorded)
    assert "no worker" in (await report()).not_checked["Liveness"]
