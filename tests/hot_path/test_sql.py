"""What a thousand jobs cost in SQL alone: an engine's claimer and settler, with its floors, without its loops.

Where a guard fails on purpose, or leaves too much room: `pytest -rP tests/hot_path` shows the counts. Write them here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from esteira.database import Database
from esteira.new_job import NewJob, enqueue_statement
from esteira.running import Claimed
from esteira_worker.buffer import Buffer
from esteira_worker.claimer import Claimer
from esteira_worker.endings import Completed
from esteira_worker.settler import Settler
from tests.hot_path.meter import Counts, Meter, show

BATCH = 1_000
# Per batch of 1,000 on PostgreSQL 18, where nothing else is in the tables.
MEASURED = {
    # One insert; the functions' other statements look at tasks and names.
    "enqueue": Counts(statements=1, inner_statements=4, commits=1, buffers=5_100, wal_bytes=355_000, visited=0),
    # One visit to the index of ready jobs and one to the row. Two of three indexes get an entry for the new version.
    "claim": Counts(statements=1, inner_statements=3, commits=1, buffers=10_100, wal_bytes=392_000, visited=2_000),
    # The row is found once; its old version, which the claim left, is still in the index, and on the same page.
    "complete": Counts(statements=1, inner_statements=4, commits=1, buffers=7_400, wal_bytes=436_000, visited=3_000),
}
# Before 18 each id is made by a statement of its own, and before 17 each is looked up by a descent of its own.
BEFORE_18 = MEASURED | {
    "enqueue": replace(MEASURED["enqueue"], inner_statements=1_004),
    "complete": replace(MEASURED["complete"], buffers=15_400),
}
# Each statement that writes a live job reads and plans its constraints anew: 1,619 characters of nodes, 4,850 while
# they said all that could be said, 10,100 while those of the other partitions stood there too. Which fields a node has
# differs between versions of PostgreSQL.
CONSTRAINTS = """
select sum(length(conbin::text)) from pg_constraint where conrelid = 'esteira.job_live'::regclass and contype = 'c'"""
CONSTRAINTS_LENGTH = 1_800
CROWD = 100_000
FUTURE = """
insert into esteira.job_live (queue, task, run_at, ready_at)
select 'default', 't', now() + interval '1 day', now() + interval '1 day' from generate_series(1, $1::integer)"""
FINISHED = """
insert into esteira.job_finished (queue, task, status, attempt, worker_id, engine, started_at, finished_at)
select 'default', 't', 'completed', 1, gen_random_uuid(), 1, now(), now() from generate_series(1, $1::integer)"""
SEE = "select pg_current_xact_id(), count(*) from esteira.job_live"
BEFORE = 20_000


class Hands:
    """An engine's claimer and settler on one session, each of their statements measured."""

    def __init__(self, database: Database, meter: Meter) -> None:
        self.database = database
        self.spent: dict[str, Counts] = {}
        self._meter = meter
        self._buffer, self._settler = Buffer(), Settler(database)
        self._claimer = Claimer(database, uuid4(), 1, ["t"], ["default"], self._buffer, self._settler, set)

    async def enqueue(self, count: int) -> None:
        statement, values = enqueue_statement([NewJob("t")] * count, atomic=True)
        await self._measured("enqueue", self.database.fetch(statement, *values))

    async def claim(self, count: int) -> list[Claimed]:
        await self._measured("claim", self._claimer._claim(count, sweep=False))
        claimed = self._buffer.take_all()
        assert len(claimed) == count
        return claimed

    async def complete(self, claimed: Sequence[Claimed]) -> None:
        batch = [(job, Completed("null")) for job in claimed]
        await self._measured("complete", self._settler._complete(batch))

    async def round(self, count: int = BATCH) -> None:
        await self.enqueue(count)
        await self.complete(await self.claim(count))

    async def _measured(self, verb: str, statement: Awaitable[Any]) -> None:
        await self._flush()
        self._meter.reset()
        await statement
        spent = self._meter.read()
        await self._flush()
        self.spent[verb] = replace(spent, visited=self._meter.read_visited())

    async def _flush(self) -> None:
        # A session tells its statistics now and then, unless asked.
        await self.database.fetch("select pg_stat_force_next_flush()")


@asynccontextmanager
async def future(hands: Hands, url: str) -> AsyncIterator[None]:
    await hands.database.fetch(FUTURE, CROWD)
    yield


@asynccontextmanager
async def finished(hands: Hands, url: str) -> AsyncIterator[None]:
    await hands.database.fetch(FINISHED, CROWD)
    yield


@asynccontextmanager
async def held(hands: Hands, url: str) -> AsyncIterator[None]:
    """Somebody's old snapshot keeps the index entries of 20,000 jobs that came and went."""
    other = await Database(url).connect()
    try:
        async with other.transaction(isolation="repeatable_read"):
            await other.fetch(SEE)
            await hands.round(BEFORE)
            yield
    finally:
        await other.close()


@asynccontextmanager
async def alone(hands: Hands, url: str) -> AsyncIterator[None]:
    yield


@pytest_asyncio.fixture
async def hands(database_url: str, meter: Meter) -> AsyncIterator[Hands]:
    """Hands that have warmed up: the day's partition is there, plans and catalogue are cached."""
    database = Database(database_url, size=1)
    hands = Hands(database, meter)
    for _ in range(2):
        await hands.round()
    yield hands
    await database.close()


@pytest.mark.parametrize("beside", [alone, future, finished, held], ids=lambda beside: beside.__name__)
async def test_a_batch_costs_what_was_measured_whatever_else_is_in_the_tables(
    hands: Hands, meter: Meter, database_url: str, beside: Any
) -> None:
    async with beside(hands, database_url):
        await hands.round()
    for verb, spent in hands.spent.items():
        show(f"{verb} of {BATCH}, {beside.__name__}", spent)
    measured = MEASURED if meter.version >= 18 else BEFORE_18
    assert {verb: excess for verb, spent in hands.spent.items() if (excess := spent.excess(measured[verb]))} == {}


async def test_a_statement_reads_no_more_of_constraints_than_was_measured(hands: Hands) -> None:
    length = await hands.database.fetchval(CONSTRAINTS)
    show("characters of constraints", length)
    assert 0 < length <= CONSTRAINTS_LENGTH
