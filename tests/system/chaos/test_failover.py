"""A synchronous standby is promoted under load, and the old primary left as it is, read-only, with all its sessions."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest

from esteira import Client, SyncClient
from esteira.database import Database, Listener, SyncDatabase
from esteira.embedded import EmbeddedPostgres
from esteira.errors import DatabaseUnavailable
from esteira.history import Ledger, check, start
from tests.postgres import open_folder
from tests.standby import Standby
from tests.system.chaos.conftest import SEED
from tests.system.chaos.test_chaos import EFFECTS, SLACK_SECONDS, drain
from tests.system.history import history_tasks
from tests.system.history.clients import ANY_ACTION, EFFECT_ACTIONS, Clients, ask_for
from tests.worker.conftest import until
from tests.worker.processes import running_service, running_worker

LEASE = 6
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def standby(server: EmbeddedPostgres) -> Iterator[Standby]:
    """A standby that every commit waits for."""
    with open_folder() as folder, Standby(server, folder).following() as standby:
        yield standby


async def test_nothing_is_lost_when_a_synchronous_standby_is_promoted_under_load(
    standby: Standby, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    shutil.copy(history_tasks.__file__, tmp_path)
    url = standby.url()
    database = Database(server.url(), session_name="test")
    await database.fetch(history_tasks.TABLE)
    await start(database)
    await database.close()
    settings = {"modules": "history_tasks", "slots": 8, "processes": 2, "lease_ticks": LEASE}
    with ExitStack() as stack:
        workers = [stack.enter_context(running_worker(tmp_path, url, **settings)) for _ in range(2)]
        service = stack.enter_context(running_service(tmp_path, url))
        sync_client = stack.enter_context(closing(SyncClient(url)))
        async with Client(url) as client:
            clients = Clients(client, sync_client, ledger, service)
            await until(lambda: all(worker.events("engine_started") for worker in workers), within=60)
            asking = asyncio.create_task(ask_for(clients, (*ANY_ACTION, *EFFECT_ACTIONS), seed=SEED, seconds=10))
            await asyncio.sleep(4)
            ledger.note("fault", what="promote")
            await asyncio.to_thread(standby.promote)
            await asking
        new = Database(standby.server.url(), session_name="test")
        await drain(new)
        slack = timedelta(seconds=SLACK_SECONDS)
        report = await check(new, ledger=ledger.path, effects=EFFECTS, drained=True, lease=LEASE, slack=slack)
        await new.close()
    assert report.violation is None, str(report)
    assert report.jobs > 200
    assert not any(worker.events("worker_given_up") for worker in workers)


async def test_sessions_at_a_server_that_became_read_only_are_left(standby: Standby) -> None:
    database, sync_database = Database(standby.url(), size=2), SyncDatabase(standby.url(), size=2)
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    listening = asyncio.create_task(Listener(database, heard.put_nowait, ask_seconds=0.1).run())
    assert await heard.get() is None
    await asyncio.gather(*(database.fetch("select pg_sleep(0.1)") for _ in range(2)))
    sync_database.fetch("select 1")
    await asyncio.to_thread(standby.promote)
    assert await heard.get() is None
    with pytest.raises(DatabaseUnavailable):
        await database.fetch("create table a ()")
    await database.fetch("create table a ()")
    await database.fetch("create table b ()")
    with pytest.raises(DatabaseUnavailable):
        sync_database.fetch("create table c ()")
    sync_database.fetch("create table c ()")
    listening.cancel()
    await asyncio.wait([listening])
    await database.close()
    sync_database.close()
