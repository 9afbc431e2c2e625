"""The verbs as a test speaks them."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

LOWEST = ("-infinity", UUID(int=0))
POLICY = {
    "version": 1,
    "queue": "default",
    "priority": "normal",
    "max_attempts": 3,
    "retry_first_seconds": 5,
    "retry_max_seconds": 3600,
    "timeout_seconds": 3600,
    "executor": "async",
    "steps": [],
    "payload_schema": {},
}
CLAIM = """
select * from esteira.claim(
    $1, $2, $3, $4, $5::text[], $6::smallint[], $7::text[]::timestamptz[], $8::uuid[])
where id is not null
order by ready_at, id"""


@dataclass
class Queue:
    """One session that enqueues, works and operates; `worker` is who claims."""

    connection: asyncpg.Connection[Any]
    worker: UUID

    async def enqueue(self, task: str = "t", payload: object = None, **named: Any) -> UUID:
        arguments = "".join(f", {name} => ${place}" for place, name in enumerate(named, start=3))
        values = [json.dumps(payload or {}), *named.values()]
        job: UUID = await self.connection.fetchval(f"select esteira.enqueue($1, $2{arguments})", task, *values)
        return job

    async def enqueue_many(self, count: int, task: str = "t", queue: str = "default") -> list[UUID]:
        rows = await self.connection.fetch(
            "select id from esteira.enqueue_many(array_fill($1::text, $3::int[]), queues => array_fill($2::text, $3))",
            task,
            queue,
            [count],
        )
        return [row[0] for row in rows]

    async def enqueue_batch(self, tasks: Sequence[str], *, atomic: bool = True, **arrays: Any) -> list[asyncpg.Record]:
        """Enqueue jobs with whatever arrays enqueue_many takes; give its rows."""
        named = "".join(f", {name} => ${place}" for place, name in enumerate(arrays, start=3))
        return await self.connection.fetch(
            f"select * from esteira.enqueue_many($1, atomic => $2{named})", tasks, atomic, *arrays.values()
        )

    async def register(self, tasks: Iterable[str] = ("t",), queues: Sequence[str] | None = None, **policy: Any) -> UUID:
        declared = json.dumps([{"name": name, **POLICY, **policy} for name in tasks])
        await self.connection.execute(
            "select esteira.register($1, 'host', 1, '0', $2, 1, 10, $3)", self.worker, queues, declared
        )
        return self.worker

    async def claim(
        self,
        wanted: int = 100,
        *,
        tasks: Sequence[str] = ("t",),
        lanes: Sequence[tuple[str, int]] = (("default", 1),),
        floor: tuple[str, UUID] = LOWEST,
        engine: int = 0,
    ) -> list[asyncpg.Record]:
        queues, priorities = zip(*lanes, strict=True)
        times, ids = [floor[0]] * len(lanes), [floor[1]] * len(lanes)
        return await self.connection.fetch(CLAIM, self.worker, engine, wanted, tasks, queues, priorities, times, ids)

    async def running(self, task: str = "t", **named: Any) -> UUID:
        """Enqueue a job and claim it, its first attempt."""
        job = await self.enqueue(task, **named)
        claimed = await self.claim(tasks=[task])
        assert [row["id"] for row in claimed] == [job]
        return job

    async def complete(self, *jobs: UUID, attempt: int = 1, result: object = None) -> list[UUID]:
        rows = await self.connection.fetch(
            "select esteira.complete($1, $2, $3)", jobs, [attempt] * len(jobs), [json.dumps(result)] * len(jobs)
        )
        return [row[0] for row in rows]

    async def fail(self, job: UUID, attempt: int = 1, *, retryable: bool = True, outcome: str = "failed") -> str | None:
        error = json.dumps({"type": "ValueError", "message": "no"})
        status: str | None = await self.connection.fetchval(
            "select esteira.fail($1, $2, $3, 'Traceback', $4, $5)", job, attempt, error, retryable, outcome
        )
        return status

    async def call(self, verb: str, *arguments: Any) -> Any:
        places = ", ".join(f"${place}" for place in range(1, len(arguments) + 1))
        return await self.connection.fetchval(f"select esteira.{verb}({places})", *arguments)

    async def rows(self, verb: str, *arguments: Any) -> list[asyncpg.Record]:
        places = ", ".join(f"${place}" for place in range(1, len(arguments) + 1))
        return await self.connection.fetch(f"select * from esteira.{verb}({places})", *arguments)

    async def job(self, job: UUID) -> asyncpg.Record:
        row = await self.connection.fetchrow("select * from esteira.jobs where id = $1", job)
        assert row is not None
        return row

    async def attempts(self, job: UUID) -> list[tuple[int, str]]:
        rows = await self.connection.fetch(
            "select attempt, outcome from esteira.attempt where job_id = $1 order by attempt", job
        )
        return [(row["attempt"], row["outcome"]) for row in rows]

    async def count(self, table: str) -> int:
        number: int = await self.connection.fetchval(f"select count(*) from esteira.{table}")
        return number

    async def until_blocked(self, other: Queue) -> None:
        """Wait until the other session waits for somebody's lock."""
        async with asyncio.timeout(20):
            while not await self.connection.fetchval(  # noqa: ASYNC110  # no event tells of a lock
                "select cardinality(pg_blocking_pids($1)) > 0", other.connection.get_server_pid()
            ):
                await asyncio.sleep(0.002)


@contextmanager
def _refused(sqlstate: str, match: str | None = None) -> Iterator[None]:
    with pytest.raises(asyncpg.PostgresError, match=match) as error:
        yield
    assert error.value.sqlstate == sqlstate


@pytest.fixture
def refused() -> Callable[..., AbstractContextManager[None]]:
    """Expect one of our SQLSTATEs, with a message."""
    return _refused


@pytest_asyncio.fixture
async def new_queue(connect: Callable[..., Awaitable[asyncpg.Connection[Any]]]) -> Callable[..., Awaitable[Queue]]:
    """Open one more session; `name` is its application's."""

    async def open_session(name: str = "test", worker: UUID | None = None) -> Queue:
        connection = await connect(server_settings={"application_name": name})
        return Queue(connection, worker or uuid4())

    return open_session


@pytest_asyncio.fixture
async def queue(new_queue: Callable[..., Awaitable[Queue]]) -> Queue:
    """The test's own session."""
    return await new_queue()


@pytest_asyncio.fixture
async def other(new_queue: Callable[..., Awaitable[Queue]]) -> Queue:
    """A second session, of another worker."""
    return await new_queue()
