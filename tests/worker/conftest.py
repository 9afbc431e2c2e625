"""The parts of a worker in the test's own process, on the test's own database."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import structlog

from esteira.database import Database
from esteira.errors import DatabaseUnavailable
from esteira.running import Claimed

Events = Callable[[str], list[MutableMapping[str, Any]]]
Enqueue = Callable[..., Awaitable[list[UUID]]]
Claim = Callable[..., Awaitable[list[Claimed]]]


async def until(condition: Callable[[], Any], within: float = 10) -> None:
    """Wait for a condition, which may be a coroutine function, to be true."""
    async with asyncio.timeout(within):
        while not (await value if inspect.isawaitable(value := condition()) else value):  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)


class Flaky(Database):
    """A database whose replies get lost: the next `losses` statements that hold `within` are done, yet seem to fail."""

    losses = 0
    within = ""

    async def fetch(self, query: Any, *args: object, patience: float = 0) -> list[Any]:
        rows = await super().fetch(query, *args, patience=patience)
        if self.losses and self.within in str(query):
            self.losses -= 1
            raise DatabaseUnavailable("the reply was lost")
        return rows


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """What the worker's parts logged under a name."""
    capture = structlog.testing.LogCapture()
    wrapper = structlog.make_filtering_bound_logger(0)
    log = structlog.wrap_logger(None, processors=[capture], wrapper_class=wrapper)
    for module in ("settler", "claimer", "slot", "engine"):
        monkeypatch.setattr(f"esteira_worker.{module}.log", log)
    monkeypatch.setattr("esteira.database.outage.log", log)
    return lambda name: [entry for entry in capture.entries if entry["event"] == name]


@pytest_asyncio.fixture
async def flaky(database_url: str) -> AsyncIterator[Flaky]:
    opened = Flaky(database_url, session_name="esteira/test")
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, session_name="esteira/test")
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def worker_id(database: Database) -> UUID:
    """A registered worker that declares no tasks."""
    new = uuid4()
    await database.fetch("select esteira.register($1, 'here', 1, '0', null, 1, 10, '[]')", new)
    return new


@pytest_asyncio.fixture
async def enqueue(database: Database) -> Enqueue:
    """Enqueue n jobs of a task, and wake nobody."""

    async def enqueue(task: str = "t.noop", n: int = 1, payload: Any = None, queue: str | None = None) -> list[UUID]:
        rows = await database.fetch(
            "select id from esteira.enqueue_many(array_fill($1::text, array[$2::integer]),"
            " array_fill($3::jsonb, array[$2]), array_fill($4::text, array[$2]))",
            task, n, json.dumps(payload or {}), queue,
        )  # fmt: skip
        return [row["id"] for row in rows]

    return enqueue


@pytest_asyncio.fixture
async def claim(database: Database, worker_id: UUID, enqueue: Enqueue) -> Claim:
    """Enqueue n jobs and claim them for engine 1 of the worker."""

    async def claim(n: int = 1) -> list[Claimed]:
        await enqueue(n=n)
        rows = await database.fetch(
            "select id, attempt, queue, task, payload, failures, crashes, timeout_seconds from esteira.claim("
            "$1, 1, $2, '{t.noop}', '{default}', '{1}', array['-infinity'::timestamptz], array[$3::uuid])",
            worker_id, n, UUID(int=0),
        )  # fmt: skip
        return [Claimed(*row) for row in rows]

    return claim
