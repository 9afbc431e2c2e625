"""A queue whose history is recorded, workers that can be killed, and the clients of it all."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from esteira import Client, SyncClient
from esteira.database import Database
from esteira.history import Ledger, start
from tests.system.conftest import StartWorker
from tests.system.history import history_tasks
from tests.system.history.clients import Clients
from tests.system.history.nemesis import Nemesis
from tests.worker.processes import Service, running_service

# The long form: HISTORY_SECONDS=3600 HISTORY_SEED=7
SECONDS = float(os.environ.get("HISTORY_SECONDS", "0"))
SEED = int(os.environ.get("HISTORY_SEED", "1"))
LEASE = 2


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """What clients, handlers and the nemesis note; nothing so far."""
    ledger = Ledger(tmp_path / "ledger")
    ledger.path.touch()
    return ledger


@pytest_asyncio.fixture
async def recorded(database_url: str) -> AsyncIterator[Database]:
    """The test's database, recorded, with a table for the effects of handlers."""
    database = Database(database_url, session_name="test")
    await database.fetch(history_tasks.TABLE)
    await start(database)
    yield database
    await database.close()


@pytest.fixture
def start_recorded(start_worker: StartWorker, tmp_path: Path) -> StartWorker:
    """Start a worker with the tasks of histories."""
    shutil.copy(history_tasks.__file__, tmp_path)
    return partial(start_worker, modules="history_tasks", lease_ticks=LEASE, slots=8)


@pytest_asyncio.fixture
async def nemesis(start_recorded: StartWorker, recorded: Database, ledger: Ledger) -> Nemesis:
    """Who starts the workers, and kills them."""
    return Nemesis(start_recorded, recorded, ledger, seed=SEED, lease=LEASE)


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service of its own."""
    with running_service(tmp_path, database_url) as service:
        yield service


@pytest_asyncio.fixture
async def clients(database_url: str, recorded: Database, ledger: Ledger) -> AsyncIterator[Clients]:
    """Clients of all kinds but HTTP."""
    async with Client(database_url) as client:
        with closing(SyncClient(database_url)) as sync_client:
            yield Clients(client, sync_client, ledger)
