"""The proxy does what it is told to, so that what tests find through it is true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from tests.proxy import Proxy, running_proxy


@pytest_asyncio.fixture
async def proxy(empty_database_url: str) -> AsyncIterator[Proxy]:
    async with running_proxy(empty_database_url) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def connection(proxy: Proxy) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(proxy.url)
    yield connection
    connection.terminate()


async def test_it_passes_everything(proxy: Proxy, connection: asyncpg.Connection) -> None:
    assert await connection.fetchval("select repeat('x', 1000000)") == "x" * 1_000_000
    assert await connection.fetchval("select length($1::text)", "y" * 1_000_000) == 1_000_000
    assert proxy.connections == 1


async def test_it_delays_what_passes(proxy: Proxy, connection: asyncpg.Connection) -> None:
    proxy.delay = 0.1
    began = time.monotonic()
    await connection.execute("select 1")
    assert time.monotonic() - began >= 0.2


async def test_it_resets_connections_and_takes_new_ones(proxy: Proxy, connection: asyncpg.Connection) -> None:
    proxy.reset()
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, ConnectionError)):
        await connection.fetchval("select 1")
    another = await asyncpg.connect(proxy.url)
    assert await another.fetchval("select 1") == 1
    another.terminate()


async def test_what_is_in_a_blackhole_hears_nothing_and_is_not_ended(
    proxy: Proxy, connection: asyncpg.Connection
) -> None:
    proxy.blackhole()
    waiting = asyncio.create_task(connection.fetchval("select 1"))
    reaching = asyncio.create_task(asyncpg.connect(proxy.url))
    await asyncio.wait([waiting, reaching], timeout=0.5)
    assert not waiting.done()
    assert not reaching.done()
    assert not connection.is_closed()
    proxy.heal()
    # The connections that fell into it stay there.
    await asyncio.wait([waiting, reaching], timeout=0.2)
    assert not waiting.done()
    for task in (waiting, reaching):
        task.cancel()
    connection.terminate()
    await asyncio.wait([waiting, reaching])
    another = await asyncpg.connect(proxy.url)
    assert await another.fetchval("select 1") == 1
    another.terminate()


async def test_the_server_does_not_hear_that_a_client_in_a_blackhole_has_gone(
    proxy: Proxy, connection: asyncpg.Connection, empty_database_url: str
) -> None:
    pid = connection.get_server_pid()
    proxy.blackhole()
    connection.terminate()
    await asyncio.sleep(0.3)
    watching = await asyncpg.connect(empty_database_url)
    assert await watching.fetchval("select count(*) from pg_stat_activity where pid = $1", pid) == 1
    await watching.close()


@pytest.mark.parametrize("cache", [100, 0])
async def test_only_the_replies_to_one_statement_are_lost_and_what_it_did_stands(
    proxy: Proxy, empty_database_url: str, cache: int
) -> None:
    watching = await asyncpg.connect(empty_database_url)
    await watching.execute("create table done (number integer)")
    statement = "insert into done values ($1)"
    connection = await asyncpg.connect(proxy.url, statement_cache_size=cache)
    await connection.execute(statement, 1)
    proxy.lost_replies = b"insert into done"
    assert await connection.fetchval("select 1") == 1
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, ConnectionError)):
        await connection.execute(statement, 2)
    assert await watching.fetchval("select array_agg(number) from done") == [1, 2]
    assert proxy.replies_lost == 1
    proxy.heal()
    connection = await asyncpg.connect(proxy.url, statement_cache_size=cache)
    await connection.execute(statement, 3)
    assert proxy.replies_lost == 1
    await connection.close()
    await watching.close()
