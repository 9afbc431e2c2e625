from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import asyncpg
import pytest

from esteira.database import Database
from esteira.errors import ConfigurationError, DatabaseUnavailable, IllegalTransition, InvalidInput, JobNotFound
from esteira.job_filter import JobFilter, Page
from esteira.lists import jobs

if TYPE_CHECKING:
    from tests.unit.conftest import Belt


async def test_sessions_have_their_name_and_settings(database_url: str) -> None:
    database = Database(database_url, session_name="esteira/w/0", settings={"esteira.fake_now": "2030-01-01 00:00Z"})
    assert await database.fetchval("select current_setting('application_name')") == "esteira/w/0"
    assert await database.fetchval("select current_setting('jit')") == "off"
    assert await database.fetchval("select extract(year from esteira.now())::int") == 2030
    await database.close()


async def test_rows_and_values_are_read(database: Database) -> None:
    assert [row["n"] for row in await database.fetch("select * from generate_series(1, $1) as g (n)", 3)] == [1, 2, 3]
    assert await database.fetchval("select 1 where false") is None
    assert await database.fetchrow("select 1 where false") is None


async def test_a_composed_query_is_run_with_its_parameters(database: Database) -> None:
    wanted = JobFilter(status=["queued", "running"], queue="a' or true")
    assert await database.fetch(jobs(wanted, Page(limit=3))) == []


async def test_connections_that_were_ended_are_made_anew(database: Database, belt: Belt) -> None:
    for _ in range(3):  # what a dying session says may be read before, while or after the next statement is sent
        await asyncio.gather(*(database.fetch("select pg_sleep(0.01)") for _ in range(5)))
        assert belt.end_sessions() == 5
        assert await database.fetchval("select 1", patience=5) == 1


async def test_two_statements_at_a_time_wait_for_the_pool_no_more_than_one_does(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both() -> None:
        await asyncio.gather(database.fetch("select 1"), database.fetch("select 1"))

    while len(database._kept) < 2:  # one that ends while the other's connection is being made gives its own back
        await both()
    asked = []
    acquire = asyncpg.pool.Pool.acquire
    monkeypatch.setattr(asyncpg.pool.Pool, "acquire", lambda *args, **given: asked.append(1) or acquire(*args, **given))
    for _ in range(3):
        await both()
    assert asked == []
    await asyncio.gather(both(), both())
    assert asked == [1, 1]


READ_ONLY = "do $$ begin raise exception 'no' using errcode = '25006'; end $$"


async def test_after_a_failover_no_connection_of_before_is_used_again(database: Database, belt: Belt) -> None:
    pid = "select pg_backend_pid() from pg_sleep(0.01)"
    before = set(await asyncio.gather(*(database.fetchval(pid) for _ in range(2))))
    belt.connection.execute("select pg_advisory_lock(1)")
    reading = asyncio.create_task(database.fetchval("select pg_backend_pid() from pg_advisory_xact_lock_shared(1)"))
    await asyncio.to_thread(belt.wait_for_locks, 1)
    with pytest.raises(DatabaseUnavailable):
        await database.fetch(READ_ONLY)
    belt.connection.execute("select pg_advisory_unlock(1)")
    assert await reading in before
    assert not before & set(await asyncio.gather(*(database.fetchval(pid) for _ in range(5))))


async def test_who_is_cancelled_in_a_failover_leaves_no_connection_behind(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(database_url, size=3)
    await asyncio.gather(*(database.fetch("select pg_sleep(0.01)") for _ in range(3)))
    expire = asyncpg.pool.Pool.expire_connections

    async def cancelled(pool: asyncpg.pool.Pool[asyncpg.Record]) -> None:
        await expire(pool)
        failing.cancel()

    monkeypatch.setattr(asyncpg.pool.Pool, "expire_connections", cancelled)
    failing = asyncio.create_task(database.fetch(READ_ONLY))
    with pytest.raises(asyncio.CancelledError):
        await failing
    async with asyncio.timeout(5), contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(database.acquire())
    await database.close()


async def test_a_statement_whose_connection_ended_is_sent_again_if_it_may(database: Database, belt: Belt) -> None:
    belt.connection.execute("create table ran (times int); insert into ran values (0)")
    belt.connection.execute("begin; lock table ran")
    patient = asyncio.create_task(database.fetch("update ran set times = times + 1", patience=5))
    hasty = asyncio.create_task(database.fetch("update ran set times = times + 1"))
    await asyncio.to_thread(belt.wait_for_locks, 2)
    belt.end_sessions()
    with pytest.raises(DatabaseUnavailable):
        await hasty
    belt.connection.execute("commit")
    await patient
    assert belt.value("select times from ran") == 1


async def test_a_serialization_failure_is_sent_again_without_being_asked(database: Database, belt: Belt) -> None:
    belt.connection.execute("create sequence tries")
    belt.connection.execute("""
        create function flaky() returns int language plpgsql as $$
        begin
            if nextval('tries') < 3 then raise exception 'busy' using errcode = '40001'; end if;
            return 7;
        end $$""")
    assert await database.fetchval("select flaky()") == 7


async def test_what_postgres_refuses_becomes_one_of_our_errors(database: Database) -> None:
    for statement, error in (
        ("select 'x'::int", InvalidInput),
        ("select esteira.cancel(gen_random_uuid())", JobNotFound),
        ("do $$ begin raise exception 'no' using errcode = 'ES002'; end $$", IllegalTransition),
    ):
        with pytest.raises(error) as refused:
            await database.fetch(statement)
        assert isinstance(refused.value.__cause__, asyncpg.PostgresError)
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await database.fetch("selec")


async def test_a_statement_has_a_deadline(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira.database.pool.DEADLINE_SECONDS", 0.05)
    with pytest.raises(DatabaseUnavailable):
        await database.fetch("select pg_sleep(60)")


async def test_a_lent_connection_has_none_since_the_work_is_its_borrowers(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.fetch("select 1")
    monkeypatch.setattr("esteira.database.pool.DEADLINE_SECONDS", 0.05)
    async with database.acquire() as connection:
        await connection.execute("select pg_sleep(0.2)")


@pytest.mark.parametrize("ending", ["well", "raising"])
async def test_a_lent_connection_comes_back_clean(database_url: str, ending: str) -> None:
    database = Database(database_url, size=1)
    with contextlib.suppress(RuntimeError):
        async with database.acquire() as connection:
            await connection.execute("create role somebody_else")
            await connection.execute(
                "set search_path = pg_catalog; set role somebody_else; select set_config('a.b', 'c', false)"
            )
            await connection.execute("reset role; create temp table left_over (); select pg_advisory_lock(1)")
            await connection.execute("drop role somebody_else; set application_name = 'disguise'")
            if ending == "raising":
                raise RuntimeError
    row = await database.fetchrow("""
        select current_setting('search_path') as path, current_setting('application_name') as name,
               current_setting('a.b', true) as b, to_regclass('left_over') as tables,
               (select count(*) from pg_locks where locktype = 'advisory') as locks""")
    assert row is not None
    assert dict(row) == {"path": '"$user", public', "name": "esteira", "b": "", "tables": None, "locks": 0}
    await database.close()


async def test_a_connection_that_cannot_be_cleaned_is_ended(database_url: str) -> None:
    database = Database(database_url, size=1)
    async with database.acquire() as connection:
        await connection.execute("begin; select pg_advisory_lock(1); savepoint a")
        with contextlib.suppress(asyncpg.PostgresError):
            await connection.execute("select 1 / 0")
    assert await database.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
    await database.close()


async def test_a_block_that_is_cancelled_gives_its_connection_back(database_url: str) -> None:
    database = Database(database_url, size=1)
    inside = asyncio.Event()

    async def hold() -> None:
        async with database.acquire() as connection, connection.transaction():
            await connection.execute("set local search_path = pg_catalog")
            inside.set()
            await connection.execute("select pg_sleep(60)")

    holding = asyncio.create_task(hold())
    await inside.wait()
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    async with asyncio.timeout(5):
        assert await database.fetchval("select current_setting('search_path')") == '"$user", public'
    await database.close()


async def test_losing_a_lent_connection_is_a_database_unavailable(database: Database, belt: Belt) -> None:
    async def work() -> None:
        async with database.acquire() as connection:
            belt.end_sessions()
            await connection.execute("select 1")

    with pytest.raises(DatabaseUnavailable):
        await work()
    assert await database.fetchval("select 1", patience=5) == 1


async def test_what_committed_stands_even_where_the_connection_is_lost_right_after(
    database: Database, belt: Belt
) -> None:
    async with database.acquire() as connection:
        await connection.execute("create table kept ()")
        belt.end_sessions()
    assert belt.value("select to_regclass('kept')::text") == "kept"


async def test_an_absent_database_is_waited_for_as_long_as_the_patience(database_url: str) -> None:
    absent = Database("postgresql://127.0.0.1:1/nobody")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(DatabaseUnavailable, match="Connect call failed"):
        await absent.fetch("select 1")
    assert loop.time() - begun < 0.3
    with pytest.raises(DatabaseUnavailable):
        await absent.fetch("select 1", patience=0.4)
    assert 0.4 <= loop.time() - begun < 4


async def test_wrong_addresses_say_what_is_wrong(database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="postgresql://user:password@host/database"):
        await Database("mysql://host/db").fetch("select 1")
    with pytest.raises(DatabaseUnavailable, match='database "nowhere" does not exist'):
        await Database(database_url.rpartition("/")[0] + "/nowhere").fetch("select 1")


async def test_the_pool_has_its_size_and_the_others_wait(database_url: str, belt: Belt) -> None:
    database = Database(database_url, session_name="sized", size=2)
    await asyncio.gather(*(database.fetch("select pg_sleep(0.01)") for _ in range(8)))
    assert belt.value("select count(*) from pg_stat_activity where application_name = 'sized'") == 2
    await database.close()


async def test_closing_ends_the_sessions_and_the_next_statement_opens_anew(database: Database, belt: Belt) -> None:
    await database.fetch("select 1")
    await database.close()
    await database.close()
    assert await database.fetchval("select 1") == 1


async def test_a_connection_of_its_own_is_no_part_of_the_pool(database_url: str) -> None:
    database = Database(database_url, session_name="apart", size=1)
    own = await database.connect()
    assert await own.fetchval("select current_setting('application_name')") == "apart"
    assert await database.fetchval("select 1") == 1
    await own.close()
    await database.close()


async def test_one_statement_after_the_other_keeps_its_connection_and_who_comes_meanwhile_is_lent_it(
    database_url: str,
) -> None:
    database = Database(database_url, size=1)
    first = await database.fetchval("select pg_backend_pid()")
    assert await database.fetchval("select pg_backend_pid()") == first
    async with asyncio.timeout(5), database.acquire() as connection:
        assert await connection.fetchval("select pg_backend_pid()") == first
        waiting = [asyncio.create_task(database.fetchval("select pg_backend_pid()")) for _ in range(3)]
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [first] * 3
    await database.close()
