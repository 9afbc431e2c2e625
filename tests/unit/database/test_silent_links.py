"""A link to the database that falls silent without an end: what waits behind it ends in time, and is told why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from esteira.database import Database, Listener
from esteira.errors import DatabaseUnavailable
from tests.postgres import Psql
from tests.proxy import Proxy, running_proxy


@pytest_asyncio.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    async with running_proxy(database_url) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def database(proxy: Proxy) -> AsyncIterator[Database]:
    """A database whose pool has one connection, made while all was well."""
    database = Database(proxy.url, size=1)
    assert await database.fetchval("select 1") == 1
    yield database
    await database.close()


async def _timed_out(database: Database) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await database.fetchval("select 1")


async def _cancelled(database: Database) -> None:
    asking = asyncio.create_task(database.fetchval("select 1"))
    await asyncio.sleep(0.5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def _over_its_deadline(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await database.fetchval("select 1")


@pytest.mark.parametrize("ends", [_timed_out, _cancelled, _over_its_deadline])
async def test_whoever_no_longer_waits_is_let_go_and_the_next_one_finds_a_new_link(
    proxy: Proxy, database: Database, monkeypatch: pytest.MonkeyPatch, ends: Callable[[Database], Awaitable[None]]
) -> None:
    monkeypatch.setattr("esteira.database.pool.DEADLINE_SECONDS", 0.5)
    proxy.blackhole()
    began = time.monotonic()
    await ends(database)
    assert time.monotonic() - began < 3
    proxy.heal()
    assert await database.fetchval("select 2") == 2


async def test_a_cancelled_statement_is_cancelled_in_the_server_and_its_connection_kept(
    proxy: Proxy, database: Database
) -> None:
    pid = await database.fetchval("select pg_backend_pid()")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await database.fetch("select pg_sleep(60)")
    assert await database.fetchval("select pg_backend_pid()") == pid
    assert proxy.connections == 1


async def test_a_listener_asks_whether_it_would_hear(
    proxy: Proxy, database: Database, psql: Psql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esteira.database.listener._ANSWER_SECONDS", 0.2)
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    listening = asyncio.create_task(Listener(database, heard.put_nowait, ask_seconds=0.1).run())
    async with asyncio.timeout(10):
        assert await heard.get() is None
        proxy.blackhole()
        await asyncio.sleep(0)
        proxy.heal()
        assert await heard.get() is None
        psql("select esteira.notify_workers('{mail}')")
        assert await heard.get() == "mail"
    listening.cancel()
    await asyncio.wait([listening])
