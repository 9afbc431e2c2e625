"""Recording begins and ends, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from esteira.database import Database
from esteira.errors import ConfigurationError
from esteira.history import check, recording_since, start, stop
from tests.postgres import Clock
from tests.roles import ROLES, account, as_account
from tests.sql.conftest import Queue

TRACES = """
select count(*) from pg_trigger where tgname like 'esteira_history%'
union all select count(*) from pg_namespace where nspname = 'esteira_history'
"""
RECORDED = "select job_id, old_status, status from esteira_history.transition order by number"


@pytest.fixture
def recorded() -> None:
    """Recording is what is tested here."""


async def traces(database: Database) -> int:
    return sum(row[0] for row in await database.fetch(TRACES))


async def test_recording_begins_once_and_ends_without_a_trace(database: Database, queue: Queue) -> None:
    assert await recording_since(database) is None
    since = await start(database)
    assert await recording_since(database) == since
    with pytest.raises(ConfigurationError, match="already: `esteira history check`"):
        await start(database)
    await queue.complete(await queue.running())
    await stop(database)
    assert await traces(database) == 0
    await queue.complete(await queue.running())
    for act in (stop, check):
        with pytest.raises(ConfigurationError, match="`esteira history start` begins it"):
            await act(database)


async def test_what_was_there_before_is_counted_and_what_runs_is_known(
    database: Database, queue: Queue, clock: Clock
) -> None:
    waits, runs, done = await queue.enqueue_many(3)
    await queue.claim()
    await queue.call("release", [waits], [1])
    await queue.complete(done)
    await start(database)
    await queue.call("release", [runs], [1])
    await queue.claim()
    await queue.complete(waits, runs, attempt=2)
    assert (await check(database, drained=True)).violation is None
    await clock.advance(queue.connection, seconds=9 * 86400)
    await queue.call("retain")
    assert await queue.count("job") == 0
    assert (await check(database, drained=True)).violation is None


async def test_days_that_are_made_later_are_recorded_too(database: Database, queue: Queue) -> None:
    await start(database)
    later = await queue.call("now") + timedelta(days=40)
    await queue.connection.execute("select set_config('esteira.fake_now', $1, false)", str(later))
    job = await queue.running()
    await queue.complete(job)
    rows = [tuple(row) for row in await database.fetch(RECORDED)]
    assert rows == [(job, None, "queued"), (job, "queued", "running"), (job, "running", None), (job, None, "completed")]


async def test_what_is_rolled_back_is_not_recorded(database: Database, queue: Queue) -> None:
    await start(database)
    transaction = queue.connection.transaction()
    await transaction.start()
    await queue.enqueue()
    await transaction.rollback()
    assert await database.fetch(RECORDED) == []


async def test_recording_waits_for_a_writer_and_lets_others_write_meanwhile(
    database: Database, queue: Queue, other: Queue
) -> None:
    async with queue.connection.transaction():
        await queue.enqueue()
        starting = asyncio.create_task(start(database))
        for _ in range(10):
            await asyncio.wait_for(other.enqueue(), 5)
        assert not starting.done()
    await asyncio.wait_for(starting, 20)
    assert (await check(database)).violation is None


async def test_an_owner_records_for_accounts_with_no_rights_of_their_own_and_a_reader_checks(
    database_url: str, run_psql: Callable[..., str], connect: Callable[..., Awaitable[asyncpg.Connection[Any]]]
) -> None:
    run_psql(database_url, "--single-transaction", "-f", ROLES)
    with (
        account(database_url, "esteira_owner") as owner,
        account(database_url, "esteira_worker") as worker,
        account(database_url, "esteira_reader") as reader,
    ):
        owners, readers = [Database(as_account(database_url, *each)) for each in (owner, reader)]
        queue = Queue(await connect(as_account(database_url, *worker)), uuid4())
        await start(owners)
        # A day that is not there yet: the settle makes it, and the trigger on it.
        later = await queue.call("now") + timedelta(days=40)
        await queue.connection.execute("select set_config('esteira.fake_now', $1, false)", str(later))
        await queue.complete(await queue.running())
        report = await check(readers, drained=True)
        assert (report.violation, report.jobs) == (None, 1)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await queue.connection.execute("delete from esteira_history.transition")
        with pytest.raises(ConfigurationError, match="owns the schema esteira"):
            await stop(readers)
        await stop(owners)
        for opened in (owners, readers):
            await opened.close()
        await queue.connection.close()


async def test_who_does_not_own_the_queue_cannot_record(
    database_url: str, database: Database, psql: Callable[..., str]
) -> None:
    psql("create role stranger login; grant usage on schema esteira to stranger;")
    try:
        stranger = Database(database_url, settings={"role": "stranger"})
        with pytest.raises(ConfigurationError, match="record as the account that owns the schema esteira"):
            await start(stranger)
        await stranger.close()
        assert await traces(database) == 0
    finally:
        psql("drop owned by stranger; drop role stranger")
