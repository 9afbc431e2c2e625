"""The service in this process, over HTTP without a socket, and workers imitated by the SQL verbs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
import pytest_asyncio

from esteira.settings import Settings
from esteira_service import catalogue, create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fastapi import FastAPI

    from esteira_service.state import State


@dataclass
class FakeWorker:
    """A worker that claims and settles when it is told to."""

    connection: asyncpg.Connection[Any]
    tasks: list[str]
    id: UUID

    async def claim(self, wanted: int = 1, queue: str = "default") -> list[asyncpg.Record]:
        claim = (
            "select * from esteira.claim($1, 0, $2, $3, array_fill($4::text, array[4]), array[3,2,1,0]::smallint[],"
            " array_fill('-infinity'::timestamptz, array[4]), array_fill($5::uuid, array[4])) where id is not null"
        )
        return await self.connection.fetch(claim, self.id, wanted, self.tasks, queue, UUID(int=0))

    async def complete(self, job: asyncpg.Record, result: object = None) -> None:
        settle = "select * from esteira.complete($1, $2, $3::jsonb[])"
        done = await self.connection.fetch(settle, [job["id"]], [job["attempt"]], [json.dumps(result)])
        assert [row[0] for row in done] == [job["id"]]

    async def fail(self, job: asyncpg.Record, *, retryable: bool = True) -> str:
        error = json.dumps({"type": "ValueError", "message": "no such video"})
        fail = "select esteira.fail($1, $2, $3::jsonb, 'Traceback: …', $4)"
        status: str = await self.connection.fetchval(fail, job["id"], job["attempt"], error, retryable)
        return status

    async def run(self, result: object = None, queue: str = "default") -> UUID:
        [job] = await self.claim(queue=queue)
        await self.complete(job, result)
        job_id: UUID = job["id"]
        return job_id


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=database_url)


@pytest_asyncio.fixture
async def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FastAPI]:
    """The application, started; what is declared, it sees at once."""
    monkeypatch.setattr(catalogue, "MAX_AGE_SECONDS", 0)
    monkeypatch.setattr(catalogue, "MAX_AGE_OF_ABSENCE_SECONDS", 0)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def state(app: FastAPI) -> State:
    found: State = app.state.esteira
    return found


@pytest_asyncio.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who talks to the service."""
    # As over a socket: what goes wrong inside is an answer, not an exception of the caller's.
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest_asyncio.fixture
async def db(connect: Callable[..., Awaitable[asyncpg.Connection[Any]]]) -> asyncpg.Connection[Any]:
    return await connect()


@pytest.fixture
def register(db: asyncpg.Connection[Any]) -> Callable[..., Awaitable[FakeWorker]]:
    """Register a worker that declares tasks; `policy` replaces parts of what it declares of each."""

    async def register(*tasks: str, queues: list[str] | None = None, **policy: Any) -> FakeWorker:
        declared = {
            "version": 1, "queue": "default", "priority": "normal", "max_attempts": 3, "retry_first_seconds": 5,
            "retry_max_seconds": 60, "timeout_seconds": 600, "executor": "async", "steps": [], "payload_schema": {},
        }  # fmt: skip
        worker = FakeWorker(db, list(tasks), uuid4())
        declarations = json.dumps([{**declared, **policy, "name": task} for task in tasks])
        register = "select esteira.register($1, 'machine', 4711, '0.1.0', $2, 1, 10, $3)"
        await db.execute(register, worker.id, queues, declarations)
        return worker

    return register


@pytest_asyncio.fixture
async def worker(register: Callable[..., Awaitable[FakeWorker]]) -> FakeWorker:
    """A worker of the task a.b on all queues."""
    return await register("a.b")
