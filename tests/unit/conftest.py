"""Running attempts without a worker: claimed in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg.rows import dict_row

from esteira import App, Client
from esteira.database import Database, SyncDatabase
from esteira.running import Claimed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CLAIM = """
select id, attempt, queue, task, payload::text, failures, crashes, timeout_seconds
from esteira.claim(%s, 0, 1, %s, '{default}', '{1}', '{-infinity}', array[%s]::uuid[])
where id is not null"""


@dataclass
class Belt:
    """What a worker, an operator and a rescuer do to jobs, from outside."""

    connection: psycopg.Connection[Any]
    worker: UUID

    def running(self, task: str = "t", payload: str = "{}") -> Claimed:
        """Enqueue a job and claim it, its first attempt."""
        self.connection.execute("select esteira.enqueue(%s, %s)", (task, payload))
        return self.claim(task)

    def claim(self, task: str = "t") -> Claimed:
        row = self.connection.execute(CLAIM, (self.worker, [task], UUID(int=0))).fetchone()
        assert row is not None
        return Claimed(**{("timeout" if name == "timeout_seconds" else name): value for name, value in row.items()})

    def release(self, job: Claimed) -> None:
        """Take the job back: whatever its attempt still writes is fenced."""
        self.connection.execute("select esteira.release(array[%s], array[%s])", (job.id, job.attempt))

    def again(self, job: Claimed) -> Claimed:
        """Take the job back and claim it once more, its next attempt."""
        self.release(job)
        return self.claim(job.task)

    def complete(self, job: Claimed, result: str = "null") -> None:
        self.connection.execute(
            "select esteira.complete(array[%s], array[%s], array[%s::jsonb])", (job.id, job.attempt, result)
        )

    def fail(self, job: Claimed) -> None:
        """End it for good."""
        self.connection.execute(
            """select esteira.fail(%s, %s, '{"type": "Boom", "message": "no"}', null, false)""", (job.id, job.attempt)
        )

    def job(self, job: Claimed) -> dict[str, Any]:
        row: dict[str, Any] | None = self.connection.execute(
            "select * from esteira.jobs where id = %s", (job.id,)
        ).fetchone()
        assert row is not None
        return row

    def value(self, query: str, *args: object) -> Any:
        row = self.connection.execute(query.encode(), args or None).fetchone()
        assert row is not None
        return next(iter(row.values()))

    def wait_for_locks(self, count: int) -> None:
        """Return when so many sessions wait for a lock."""
        self.connection.execute(
            f"""
            do $$ begin
                while (select count(*) from pg_locks where not granted) < {count} loop
                    perform pg_sleep(0.005);
                end loop;
            end $$""".encode()
        )

    def end_sessions(self, name: str = "esteira") -> int:
        """End the sessions of this application_name, and wait until they are gone."""
        ended: int = self.value("select esteira.disconnect(%s)", name)
        return ended


@pytest.fixture
def belt(database_url: str) -> Iterator[Belt]:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield Belt(connection, uuid4())


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def sync_database(database_url: str) -> Iterator[SyncDatabase]:
    opened = SyncDatabase(database_url)
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def client(database: Database) -> AsyncIterator[Client]:
    async with Client(database=database) as opened:
        yield opened


@pytest_asyncio.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    declared = App("app", database_url=database_url)
    yield declared
    await declared.close()
