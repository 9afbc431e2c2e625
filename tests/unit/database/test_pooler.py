"""Connections through a real pgbouncer: one that refuses the settings of a session, and one that ignores them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest
import structlog

from esteira.database import Database, Listener, SyncDatabase
from tests.pgbouncer import running_pgbouncer

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = "jit, tcp_keepalives_idle, tcp_keepalives_interval, tcp_keepalives_count"


@pytest.fixture(params=["", SETTINGS], ids=["refusing", "ignoring"])
def pooled_url(request: pytest.FixtureRequest, database_url: str) -> Iterator[str]:
    """The test's database behind a pooler with two sessions for all."""
    ignored = {"ignore_startup_parameters": request.param} if request.param else {}
    with running_pgbouncer(database_url, default_pool_size="2", **ignored) as bouncer:
        yield bouncer.url(urlsplit(database_url).path[1:])


async def test_statements_of_many_connections_share_few_sessions_and_keep_their_names(pooled_url: str) -> None:
    databases = [Database(pooled_url, session_name=f"esteira/w/{number}", size=5) for number in range(3)]
    query = "select current_setting('application_name') || ' ' || $1::int || ' ' || pg_backend_pid()"
    for _ in range(3):
        asked = [database.fetchval(query, number) for number in range(10) for database in databases]
        said = [str(answer).split() for answer in await asyncio.gather(*asked)]
        names = [(database.session_name, str(number)) for number in range(10) for database in databases]
        assert [(name, number) for name, number, _ in said] == names
        assert len({pid for *_, pid in said}) <= 2
    assert [database.pooled for database in databases] == [True] * 3
    for database in databases:
        await database.close()


async def test_a_lent_connection_does_not_touch_the_session_of_the_next(pooled_url: str, database_url: str) -> None:
    database = Database(pooled_url, session_name="esteira/w/1", size=1)
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("set local work_mem = '7MB'")
    # As anybody who shares the pooler might: what cleans up after us would take it from them.
    async with database.acquire() as connection:
        await connection.execute("select pg_advisory_lock(7)")
    assert await database.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 1
    assert await database.fetchval("select current_setting('application_name')") == "esteira/w/1"
    await database.close()


def test_plain_connections_notice_it_too(pooled_url: str) -> None:
    databases = [SyncDatabase(pooled_url, session_name=f"esteira/w/{number}", size=1) for number in range(2)]
    for database in databases * 10:  # psycopg prepares what it has seen five times
        assert database.fetchval("select 1 + $1", 1) == 2
    for number, database in enumerate(databases):
        with database.acquire() as connection, connection.transaction():
            row = connection.execute("select current_setting('application_name')").fetchone()
            connection.execute("select pg_advisory_lock(7)")
        assert row == (f"esteira/w/{number}",)
    assert databases[0].fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 1
    for database in databases:
        database.close()


async def test_nobody_listens_through_it(pooled_url: str) -> None:
    database = Database(pooled_url)
    heard: list[str | None] = []
    with structlog.testing.capture_logs() as logs:
        listening = asyncio.create_task(Listener(database, heard.append).run())
        async with asyncio.timeout(10):
            while not logs:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.01)
        assert await database.fetchval("select array_length(array(select pg_listening_channels()), 1)") is None
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
    assert [entry["event"] for entry in logs] == ["wakeups_off"]
    assert heard == []
    await database.close()


async def test_a_connection_that_is_given_up_while_it_is_looked_at_is_closed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: asyncio.Future[asyncpg.Connection] = asyncio.get_running_loop().create_future()

    async def look(connection: asyncpg.Connection) -> bool:
        looked_at.set_result(connection)
        await asyncio.Event().wait()
        return False

    monkeypatch.setattr("esteira.database.pool.is_pooled", look)
    connecting = asyncio.create_task(database.connect())
    connection = await looked_at
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert connection.is_closed()


async def test_without_one_nothing_is_pooled(database: Database) -> None:
    await database.fetch("select 1")
    assert database.pooled is False
