"""A queue whose history is recorded, and what the checker says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import pytest
import pytest_asyncio

from esteira.database import Database
from esteira.history import Ledger, Report, check, start
from tests.sql.conftest import Queue, new_queue, other, queue, refused  # noqa: F401 - fixtures

Found = tuple[str, UUID | None, str]
NewQueue = Callable[..., Awaitable[Queue]]


class Check(Protocol):
    async def __call__(self, **terms: Any) -> Report: ...


class First(Protocol):
    async def __call__(self, **terms: Any) -> Found | None: ...


@pytest_asyncio.fixture(autouse=True)
async def recorded(database: Database) -> Database:
    """The test's database, with recording on."""
    await start(database)
    return database


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger that nothing was written to yet."""
    made = Ledger(tmp_path / "ledger")
    made.path.touch()
    return made


@pytest.fixture
def report(recorded: Database) -> Check:
    """Check the history so far."""

    async def report(**terms: Any) -> Report:
        return await check(recorded, **terms)

    return report


@pytest.fixture
def first(report: Check) -> First:
    """The first violation so far: which invariant, which job, what it says."""

    async def first(**terms: Any) -> Found | None:
        found = (await report(**terms)).violation
        return None if found is None else (found.invariant, found.job_id, found.sentence)

    return first
