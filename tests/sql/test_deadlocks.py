"""Everybody at once on the same few jobs: nobody is told of a deadlock, and every job is accounted for."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from esteira.database import Database
from esteira.database.sqlstates import sqlstate_of
from esteira.errors import EsteiraError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SECONDS = 180 if os.environ.get("ESTEIRA_TEST_THOROUGH") else 15
ERROR = json.dumps({"type": "T", "message": "m"})
KEYS, IDEMPOTENCY_KEYS = [None, None, "k", "l", "m"], [None, None, None, "i", "h"]
# Refusals are answers.
ANSWERS = ("ES001", "ES002", "ES003", "ES005", "ES006", "ES007")
FEW = "select id from (select id from esteira.job order by id desc limit 60) as latest order by random() limit $1"
LEFT = """
select (select count(*) from esteira.job) + finished_removed + dead_removed as accounted,
       (select count(*) - count(distinct id) from esteira.job) as twice,
       (select count(*) from esteira.activity where job_id not in (select id from esteira.job_live)) as stray,
       (select deadlocks from pg_stat_database where datname = current_database()) as deadlocks
from esteira.retention"""


@dataclass
class Crowd:
    """What all sessions do, and what came of it."""

    queue: Any
    lot: random.Random
    made: set[UUID] = field(default_factory=set)
    discarded: set[UUID] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)

    async def few(self, session: Any, most: int = 20) -> list[UUID]:
        return [row[0] for row in await session.connection.fetch(FEW, self.lot.randint(1, most))] or [uuid4()]

    async def enqueue(self, session: Any) -> None:
        tasks = ["t"] * self.lot.randint(1, 8)
        rows = await session.enqueue_batch(
            tasks,
            atomic=self.lot.random() < 0.3,
            unique_keys=[self.lot.choice(KEYS) for _ in tasks],
            on_conflicts=[self.lot.choice(["return", "replace", "reject"]) for _ in tasks],
            idempotency_keys=[self.lot.choice(IDEMPOTENCY_KEYS) for _ in tasks],
            retry_firsts=[timedelta()] * len(tasks),
        )
        self.made |= {row["id"] for row in rows if row["outcome"] == "enqueued"}

    async def work(self, session: Any) -> None:
        claimed = await session.claim(self.lot.randint(1, 12))
        self.lot.shuffle(claimed)
        for row in claimed[:4]:
            job, attempt = row["id"], row["attempt"]
            await session.call("progress", job, attempt, 0.5)
            match self.lot.randint(0, 4):
                case 0:
                    await session.fail(job, attempt, retryable=self.lot.random() < 0.5)
                case 1:
                    await session.call("snooze", job, attempt, timedelta())
                case 2:
                    await session.connection.fetch(
                        "select esteira.save_step($1, $2, 's', '1', esteira.now())", job, attempt
                    )
                case 3:
                    await session.call("acknowledge_cancel", job, attempt)
                case _:
                    await self.handle(session, job, attempt)
        ids, attempts = [row["id"] for row in claimed], [row["attempt"] for row in claimed]
        if self.lot.random() < 0.3:
            await session.call("release", ids, attempts)
        else:
            await session.connection.fetch(
                "select esteira.complete($1, $2, array_fill('1'::jsonb, array[$3::int]))", ids, attempts, len(ids)
            )

    async def handle(self, session: Any, job: UUID, attempt: int) -> None:
        async with session.connection.acquire() as connection, connection.transaction():
            if await connection.fetchval("select esteira.hold($1, $2)", job, attempt):
                await connection.fetch(
                    "select esteira.complete(array[$1::uuid], array[$2::int], array['1'::jsonb])", job, attempt
                )

    async def settle_late(self, session: Any) -> None:
        """As a worker does that was given up: whatever it still held, in any order."""
        ids = await self.few(session)
        await session.connection.fetch(
            "select esteira.complete($1, $2, array_fill('1'::jsonb, array[$3::int]))", ids, [0] * len(ids), len(ids)
        )
        await session.call("release", ids, [0] * len(ids))

    async def operate(self, session: Any) -> None:
        ids = await self.few(session)
        match self.lot.randint(0, 5):
            case 0:
                await session.call("cancel", ids[0])
            case 1 | 2:
                await session.rows("cancel_many", ids)
            case 3:
                await session.rows("retry_many", ids)
            case 4:
                self.discarded |= {row[0] for row in await session.rows("discard_many", ids)}
            case _:
                await session.connection.fetch("select esteira.edit($1, priority => 'normal', tags => '{x}')", ids[0])

    async def maintain(self, session: Any) -> None:
        match self.lot.randint(0, 9):
            case 0:
                await session.call("purge", "default")
            case 1 | 2:
                await session.call("crash", self.lot.choice(WORKERS), 0, "it crashed")
            case 3 | 4:
                await session.connection.fetch("delete from esteira.worker where id = $1", self.lot.choice(WORKERS))
            case 5 | 6:
                await session.call("retain")
            case _:
                await session.call("tick", 0)

    async def repeat(self, act: Callable[[Any], Awaitable[None]], session: Any) -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                await act(session)
                self.answers[act.__name__] += 1
            except (EsteiraError, asyncpg.PostgresError) as error:
                state = sqlstate_of(error.__cause__ or error)
                self.answers[state if state in ANSWERS else f"{state} {act.__name__}: {error}"] += 1


WORKERS = [uuid4() for _ in range(3)]


@pytest.mark.timeout(SECONDS + 100)
async def test_nobody_is_told_of_a_deadlock_and_every_job_is_accounted_for(
    new_queue: Any, database_url: str, record_property: Any
) -> None:
    watch = await new_queue()
    await watch.connection.execute("select esteira.set_retention(finished => '2 s', dead => '2 s')")
    crowd = Crowd(watch, random.Random(1))
    acts = [
        crowd.enqueue,
        crowd.enqueue,
        crowd.settle_late,
        crowd.operate,
        crowd.operate,
        crowd.operate,
        crowd.maintain,
    ]
    async with AsyncExitStack() as stack:

        def session(worker: UUID | None = None) -> Any:
            """What our programs use: it sends again what met a deadlock."""
            database = Database(database_url, size=2)
            stack.push_async_callback(database.close)
            return replace(watch, connection=database, worker=worker or uuid4())

        working = [(crowd.work, session(worker)) for worker in WORKERS]
        others = [(act, session()) for act in acts]
        await asyncio.gather(*(crowd.repeat(act, each) for act, each in [*working, *others]))

    left = await watch.connection.fetchrow(LEFT)
    for name, count in [*crowd.answers.items(), ("deadlocks", left["deadlocks"])]:
        record_property(name, count)
    assert {name for name in crowd.answers if len(name) > 5 and name[:1].isdigit()} == set()
    assert left["accounted"] == len(crowd.made) - len(crowd.discarded)
    assert (left["twice"], left["stray"]) == (0, 0)
