"""A site, and what brings it into a bad state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio

from esteira.doctor.site import Site
from esteira.settings import Settings
from tests.roles import account, as_account

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.postgres import PostgresServer

DECLARED = {
    "version": 1, "queue": "default", "priority": "normal", "max_attempts": 3, "retry_first_seconds": 5,
    "retry_max_seconds": 3600, "timeout_seconds": 3600, "executor": "async", "steps": [], "payload_schema": {},
}  # fmt: skip


@pytest_asyncio.fixture
async def site(database_url: str) -> AsyncIterator[Site]:
    opened = Site.of(Settings(database_url=database_url))
    yield opened
    await opened.close()


@pytest.fixture
def sql(database_url: str) -> Iterator[Callable[..., Any]]:
    """Run a statement on a session of its own; its rows come back."""
    with psycopg.connect(database_url, autocommit=True) as connection:

        def run(statement: str, *args: object) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement.encode(), args or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def register(sql: Callable[..., Any]) -> Callable[..., UUID]:
    """Let a worker introduce itself."""

    def introduce(*tasks: str, queues: list[str] | None = None, version: str = "0", engines: int = 1) -> UUID:
        worker = uuid4()
        declared = json.dumps([{"name": name, **DECLARED} for name in tasks or ("t",)])
        sql("select esteira.register(%s, 'host', 42, %s, %s, %s, 10, %s)", worker, version, queues, engines, declared)
        return worker

    return introduce


@pytest.fixture
def ordinary_role(database_url: str, postgres_server: PostgresServer) -> Iterator[str]:
    """The test's database as a role with no rights but to connect sees it."""
    with account(postgres_server.admin_url) as (name, password):
        yield as_account(database_url, name, password)
        # What it was given in this database would keep it from being dropped.
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f'drop owned by "{name}"'.encode())
