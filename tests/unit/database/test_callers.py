"""Enqueueing in the caller's own transaction, whatever the driver."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import psycopg
import pytest
import pytest_asyncio
from psycopg.rows import dict_row, scalar_row
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from esteira import Client, DatabaseUnavailable, InvalidInput, JobNotFound, SyncClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from esteira.database import SyncDatabase
    from tests.unit.conftest import Belt

    Connect = Callable[..., Awaitable[asyncpg.Connection[Any]]]


class RolledBack(Exception):
    pass


@dataclass
class Caller:
    """Somebody's connection, and how its transactions and savepoints are opened."""

    db: Any
    begin: Callable[[], Any]
    nested: Callable[[], Any]

    @classmethod
    def of(cls, db: Any) -> Caller:
        if hasattr(db, "begin_nested"):
            return cls(db, db.begin, db.begin_nested)
        return cls(db, db.transaction, db.transaction)


def address(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://")


@asynccontextmanager
async def opened(kind: str, url: str) -> AsyncIterator[Any]:
    kind, _, driver = kind.partition(" on ")
    async with AsyncExitStack() as stack:
        match kind:
            case "asyncpg":
                db = await asyncpg.connect(url)
                stack.push_async_callback(db.close)
            case "asyncpg's pool":
                pool = await stack.enter_async_context(asyncpg.create_pool(url, min_size=0))
                db = await stack.enter_async_context(pool.acquire())
            case "psycopg":
                db = await stack.enter_async_context(await psycopg.AsyncConnection.connect(url))
            case _:
                engine = create_async_engine(address(url, driver), poolclass=NullPool)
                stack.push_async_callback(engine.dispose)
                db = await stack.enter_async_context(
                    engine.connect() if kind == "a connection" else AsyncSession(engine)
                )
        yield db


@contextmanager
def opened_plainly(kind: str, url: str) -> Iterator[Any]:
    kind, _, driver = kind.partition(" on ")
    if kind == "psycopg":
        with psycopg.connect(url) as connection:
            yield connection
        return
    engine = create_engine(address(url, driver), poolclass=NullPool)
    with engine.connect() if kind == "a connection" else Session(engine) as db:
        yield db
    engine.dispose()


@pytest_asyncio.fixture(
    params=[
        "asyncpg",
        "asyncpg's pool",
        "psycopg",
        "a connection on asyncpg",
        "a connection on psycopg",
        "a session on asyncpg",
        "a session on psycopg",
    ]
)
async def caller(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Caller]:
    async with opened(request.param, database_url) as db:
        yield Caller.of(db)


@pytest.fixture(
    params=[
        "psycopg",
        "a connection on psycopg",
        "a connection on psycopg2",
        "a session on psycopg",
        "a session on psycopg2",
    ]
)
def plain_caller(request: pytest.FixtureRequest, database_url: str) -> Iterator[Caller]:
    with opened_plainly(request.param, database_url) as db:
        yield Caller.of(db)


@pytest.fixture
def sync_client(sync_database: SyncDatabase) -> Iterator[SyncClient]:
    with SyncClient(database=sync_database) as client:
        yield client


# All that a job can be asked for, so that each driver sends each type.
OPTIONS: dict[str, Any] = {
    "queue": "mail",
    "delay": "1h",
    "timeout": "10m",
    "metadata": {"order": 7},
    "tags": ["a", 'b"c:d %s'],
    "priority": "high",
}


def check(job: Any) -> None:
    assert (job.status, job.payload, job.queue, job.priority) == ("queued", {"a": ["ü:x %(y)s"]}, "mail", "high")
    assert (job.metadata, job.tags, job.timeout_seconds) == ({"order": 7}, ["a", 'b"c:d %s'], 600)


PAYLOAD = {"a": ["ü:x %(y)s"]}


async def test_a_job_comes_and_goes_with_the_callers_transaction(
    client: Client, caller: Caller, connect: Connect
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await (await connect()).add_listener("esteira", lambda *hint: heard.put_nowait(hint[3]))
    with suppress(RolledBack):
        async with caller.begin():
            lost = await client.enqueue("t", db=caller.db, queue="lost")
            raise RolledBack
    async with caller.begin():
        kept = await client.enqueue("t", PAYLOAD, db=caller.db, **OPTIONS)
        with pytest.raises(JobNotFound):
            await kept.job()
        with suppress(RolledBack):
            async with caller.nested():
                also_lost = await client.enqueue("t", db=caller.db, queue="lost")
                raise RolledBack
    check(await kept.job())
    for handle in (lost, also_lost):
        with pytest.raises(JobNotFound):
            await handle.job()
    assert await heard.get() == "mail"
    assert heard.empty()


def test_a_job_comes_and_goes_with_the_transaction_of_a_plain_caller(
    sync_client: SyncClient, plain_caller: Caller, belt: Belt
) -> None:
    belt.connection.execute("listen esteira")
    with suppress(RolledBack), plain_caller.begin():
        lost = sync_client.enqueue("t", db=plain_caller.db, queue="lost")
        raise RolledBack
    with plain_caller.begin():
        kept = sync_client.enqueue("t", PAYLOAD, db=plain_caller.db, **OPTIONS)
        with pytest.raises(JobNotFound):
            kept.job()
        with suppress(RolledBack), plain_caller.nested():
            also_lost = sync_client.enqueue("t", db=plain_caller.db, queue="lost")
            raise RolledBack
    check(kept.job())
    for handle in (lost, also_lost):
        with pytest.raises(JobNotFound):
            handle.job()
    assert [hint.payload for hint in belt.connection.notifies(timeout=10, stop_after=1)] == ["mail"]
    assert [hint.payload for hint in belt.connection.notifies(timeout=0)] == []


async def test_what_is_refused_is_said_to_be_so_by_every_driver(client: Client, caller: Caller) -> None:
    for task, reason in (("no name", "no name"), ("t\0", "0x00"), ("\ud800", "surrogates")):
        with pytest.raises(InvalidInput, match=reason):
            async with caller.begin():
                await client.enqueue(task, db=caller.db)
    async with caller.begin():
        kept = await client.enqueue("t", db=caller.db)
    assert (await kept.job()).status == "queued"


def test_what_is_refused_is_said_to_be_so_to_a_plain_caller(sync_client: SyncClient, plain_caller: Caller) -> None:
    # psycopg2 has its own word for NUL, which is a ValueError as InvalidInput is.
    for task, error, reason in (
        ("no name", InvalidInput, "no name"),
        ("t\0", ValueError, "NUL"),
        ("\ud800", InvalidInput, "surrogates"),
    ):
        with pytest.raises(error, match=reason), plain_caller.begin():
            sync_client.enqueue(task, db=plain_caller.db)
    with plain_caller.begin():
        kept = sync_client.enqueue("t", db=plain_caller.db)
    assert kept.job().status == "queued"


async def test_a_transaction_that_sqlalchemy_began_by_itself_is_the_callers_too(
    client: Client, database_url: str
) -> None:
    async with opened("a session on asyncpg", database_url) as session:
        lost = await client.enqueue("t", db=session)
        await session.rollback()
        kept = await client.enqueue("t", db=session)
        await session.commit()
    assert (await kept.job()).status == "queued"
    with pytest.raises(JobNotFound):
        await lost.job()


async def test_a_session_may_be_a_scoped_one(client: Client, sync_client: SyncClient, database_url: str) -> None:
    engine = create_async_engine(address(database_url, "psycopg"), poolclass=NullPool)
    session = async_scoped_session(async_sessionmaker(engine), asyncio.current_task)
    kept = await client.enqueue("t", db=session)
    await session.commit()
    await session.remove()
    assert (await kept.job()).status == "queued"
    plain = scoped_session(sessionmaker(create_engine(address(database_url, "psycopg"), poolclass=NullPool)))
    also_kept = sync_client.enqueue("t", db=plain)
    plain.commit()
    plain.remove()
    assert also_kept.job().status == "queued"


async def test_codecs_of_an_asyncpg_connection_do_not_matter(client: Client, connect: Connect) -> None:
    connection = await connect(statement_cache_size=0)
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    await connection.execute("set search_path = pg_temp")
    check(await (await client.enqueue("t", PAYLOAD, db=connection, **OPTIONS)).job())
    assert await connection.fetchval("""select '{"a": 1}'::jsonb""") == {"a": 1}
    assert await connection.fetchval("show search_path") == "pg_temp"


@pytest.mark.parametrize("threshold", [None, 0, 1])
def test_settings_of_a_psycopg_connection_neither_matter_nor_change(
    sync_client: SyncClient, database_url: str, threshold: int | None
) -> None:
    with psycopg.connect(database_url, row_factory=scalar_row, prepare_threshold=threshold) as connection:
        connection.cursor_factory = psycopg.ClientCursor
        set_json_loads(lambda _: "read in my own way", connection)
        connection.adapters.register_loader("uuid", TextLoader)
        connection.execute("set search_path = pg_temp")
        for _ in range(3):
            handle = sync_client.enqueue("t", PAYLOAD, db=connection, **OPTIONS)
        assert isinstance(handle.id, UUID)
        connection.commit()
        check(handle.job())
        assert connection.execute("select %s::jsonb", ['{"a": 1}']).fetchone() == "read in my own way"
        assert connection.execute("show search_path").fetchone() == "pg_temp"
        assert (connection.row_factory, connection.prepare_threshold) == (scalar_row, threshold)
        assert connection.execute("select count(*) from pg_prepared_statements").fetchone() == (
            0 if threshold is None else pytest.approx(2, abs=2)
        )


async def test_rows_of_a_psycopg_connection_may_have_any_shape(client: Client, database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, row_factory=dict_row, autocommit=True) as connection:
        check(await (await client.enqueue("t", PAYLOAD, db=connection, **OPTIONS)).job())


async def test_a_session_that_was_ended_is_a_database_unavailable(
    client: Client, belt: Belt, database_url: str
) -> None:
    for kind in ("asyncpg", "psycopg", "a session on asyncpg", "a session on psycopg"):
        async with opened(kind, database_url) as db:
            await client.enqueue("t", db=db)
            assert belt.end_sessions("") == 1
            with pytest.raises(DatabaseUnavailable):
                await client.enqueue("t", db=db)


def test_a_session_of_a_plain_caller_that_was_ended_is_a_database_unavailable(
    sync_client: SyncClient, plain_caller: Caller, belt: Belt
) -> None:
    sync_client.enqueue("t", db=plain_caller.db)
    assert belt.end_sessions("") == 1
    with pytest.raises(DatabaseUnavailable):
        sync_client.enqueue("t", db=plain_caller.db)


async def test_what_is_no_connection_of_the_right_kind_is_refused_with_those_that_are(
    client: Client, sync_client: SyncClient, connect: Connect, belt: Belt
) -> None:
    unfit: Any
    for unfit in (belt.connection, create_engine("postgresql+psycopg://"), object()):
        with pytest.raises(InvalidInput, match=r"an asyncpg connection, a psycopg\.AsyncConnection, or an AsyncConn"):
            await client.enqueue("t", db=unfit)
    for unfit in (await connect(), create_engine("postgresql+psycopg://"), "postgresql://"):
        with pytest.raises(InvalidInput, match=r"takes a psycopg\.Connection, or a Connection or Session of SQLAlch"):
            sync_client.enqueue("t", db=unfit)
