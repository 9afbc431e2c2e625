"""Five hundred workers lose the database at once, and come back to a pool of twenty."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import asyncpg
import pytest

from esteira.database import Database
from esteira.embedded import EmbeddedPostgres
from esteira.settings import Settings
from esteira_worker.life import Life
from esteira_worker.stop import Stop
from tests.pgbouncer import running_pgbouncer
from tests.worker.conftest import until

WORKERS = 500
POOL = 20
AWAY_SECONDS = 8.0
LEASE = 6
BEATEN = "select count(*) from esteira.worker where beat_at > $1"
SESSIONS = "select count(*) from pg_stat_activity where application_name ~ '^esteira' and pid <> pg_backend_pid()"
pytestmark = pytest.mark.timeout(240)


class Supervisors:
    """All that five hundred supervisors send: a heartbeat and a tick a second each, over pools of their own."""

    def __init__(self, url: str) -> None:
        self._settings = Settings(database_url=url, lease_ticks=LEASE)
        self._databases = [Database(url, session_name="esteira-supervisor", size=4) for _ in range(WORKERS)]
        self._lives = [Life(self._settings, database, Stop()) for database in self._databases]
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for life in self._lives:
            await life._register([])
        for life in self._lives:
            self._loops += [asyncio.create_task(loop) for loop in (life._beat(), life._maintain())]

    def ended(self) -> list[asyncio.Task[None]]:
        """Return the loops that ended: nothing but being given up ends one."""
        return [loop for loop in self._loops if loop.done()]

    async def stop(self) -> None:
        for loop in self._loops:
            loop.cancel()
        await asyncio.wait(self._loops)
        for database in self._databases:
            await database.close()


class Counting:
    """Call a function, and count the calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.called = 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.called += 1
        return self._function(*args, **options)


async def test_five_hundred_workers_come_back_without_a_storm(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        settings = {"default_pool_size": str(POOL), "max_client_conn": "3000"}
        pgbouncer = stack.enter_context(running_pgbouncer(server.url(), **settings))
        connects = Counting(asyncpg.connect)
        monkeypatch.setattr(asyncpg, "connect", connects)
        supervisors = Supervisors(f"{pgbouncer.url('postgres')}?sslmode=disable")
        stack.push_async_callback(supervisors.stop)
        watching = Database(server.url(), session_name="test")
        stack.push_async_callback(watching.close)
        await supervisors.start()

        async def all_beat_again() -> bool:
            return bool(await watching.fetchval(BEATEN, since, patience=30) == WORKERS)

        since = await watching.fetchval("select now()")
        await until(all_beat_again, within=30)
        await asyncio.to_thread(server.stop, "immediate")
        before, began = connects.called, monotonic()
        await asyncio.sleep(AWAY_SECONDS)
        away = (connects.called - before) / (monotonic() - began)
        await asyncio.to_thread(server.start)
        before, began = connects.called, monotonic()
        since = await watching.fetchval("select now()", patience=30)
        await until(all_beat_again, within=60)
        back = monotonic() - began
        sessions = await watching.fetchval(SESSIONS)
        ended = supervisors.ended()
        lost = await watching.fetchval("select count(*) from esteira.worker where lost_at is not null")
        print(  # noqa: T201
            f"{WORKERS} workers: {away:.0f} connections a second while the database is away; all beat again within "
            f"{back:.1f} s, over {connects.called - before} new connections and {sessions} sessions; {lost} given up"
        )
    assert lost == 0
    assert ended == []
    assert sessions <= POOL
    # Each has two loops, and each of them tries once a second at most.
    assert away < 2 * WORKERS
    assert back < LEASE
