"""Who may do what. This writes grants.txt anew, to be reviewed:

ESTEIRA_WRITE_GRANTS=1 .venv/bin/python -m pytest tests/sql/test_roles.py -k reviewed
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import psycopg
import pytest

import esteira_migrations
from esteira.embedded import EmbeddedPostgres
from tests.postgres import INSTALL, open_folder
from tests.roles import ROLES, account, as_account
from tests.sql.conftest import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SNAPSHOT = Path(__file__).with_name("grants.txt")
GRANTS = """
with object as (
    select 'schema' as kind, nspname::text as name, nspacl as acl, nspowner as owner, '' as how
    from pg_namespace where nspname = 'esteira'
    union all
    select case relkind when 'v' then 'view' else 'table' end, relname, relacl, relowner,
           case when relkind = 'v' and 'security_invoker=true' <> all (coalesce(reloptions, '{}'))
                then ' AS ITS OWNER' else '' end
    from pg_class
    where relnamespace = 'esteira'::regnamespace and relkind in ('r', 'p', 'v') and relname !~ '^job_finished_[0-9]'
    union all
    select case when prosecdef then 'verb' else 'function' end,
           replace(oid::regprocedure::text, 'esteira.', ''), proacl, proowner,
           case when prosecdef and 'search_path=pg_catalog, esteira, pg_temp' <> all (coalesce(proconfig, '{}'))
                then ' WITHOUT ITS SEARCH PATH' else '' end
    from pg_proc where pronamespace = 'esteira'::regnamespace
)
select format('%s %s%s: %s', kind, name, how, coalesce((
    select string_agg(who || ' ' || lower(rights), '; ' order by who)
    from (
        select case grantee when 0 then 'EVERYBODY' else replace(grantee::regrole::text, 'esteira_', '') end as who,
               string_agg(privilege_type, ', ' order by privilege_type) as rights
        from aclexplode(coalesce(acl, acldefault(
            case kind when 'schema' then 'n' when 'table' then 'r' when 'view' then 'r' else 'f' end::"char", owner)))
        where grantee <> owner
        group by grantee
    ) as given), 'the owner only')) as line
from object order by kind collate "C" desc, name collate "C" """
OWNERS = """
select distinct owner::regrole::text from (
    select nspowner from pg_namespace where nspname = 'esteira'
    union select relowner from pg_class where relnamespace = 'esteira'::regnamespace
    union select proowner from pg_proc where pronamespace = 'esteira'::regnamespace) as object (owner)"""
VIEWS = "select oid::regclass::text from pg_class where relnamespace = 'esteira'::regnamespace and relkind = 'v'"
THEN = datetime(2040, 5, 6, 12, tzinfo=UTC)


@pytest.fixture
def roles(database_url: str, run_psql: Callable[..., str]) -> str:
    """The test's database with the roles in place."""
    run_psql(database_url, "--single-transaction", "-f", ROLES)
    return database_url


@pytest.fixture
def login(roles: str) -> Iterator[Callable[..., str]]:
    """Make an account that is a member of the roles named, and give its address of the test's database."""
    with ExitStack() as accounts:
        yield lambda *groups: as_account(
            roles, *accounts.enter_context(account(roles, *(f"esteira_{group}" for group in groups)))
        )


@pytest.fixture
def session(connect: Any, login: Callable[..., str]) -> Callable[..., Any]:
    """Open a session of a new account that is a member of the roles named."""

    async def open_session(*groups: str, name: str = "test") -> Queue:
        queue = await connect(login(*groups), server_settings={"application_name": name})
        return Queue(queue, uuid4())

    return open_session


async def refuses(queue: Queue, *statements: str) -> None:
    for statement in statements:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await queue.connection.execute(statement)


def test_what_is_granted_is_what_was_reviewed(roles: str, run_psql: Callable[..., str]) -> None:
    granted = run_psql(roles, "-c", GRANTS) + "\n"
    if "ESTEIRA_WRITE_GRANTS" in os.environ:
        SNAPSHOT.write_text(granted)
    assert granted == SNAPSHOT.read_text()
    assert run_psql(roles, "-c", OWNERS) == "esteira_owner"


def test_without_roles_nobody_but_the_owner_may_do_anything(
    empty_database_url: str, run_psql: Callable[..., str]
) -> None:
    esteira_migrations.upgrade(empty_database_url)
    lines = run_psql(empty_database_url, "-c", GRANTS).splitlines()
    assert len(lines) > 50
    assert [line for line in lines if not line.endswith(": the owner only")] == []


def test_roles_can_be_made_again_and_again(roles: str, run_psql: Callable[..., str]) -> None:
    run_psql(roles, "--single-transaction", "-c", "grant delete on esteira.job to esteira_worker", "-f", ROLES)
    assert run_psql(roles, "-c", GRANTS) + "\n" == SNAPSHOT.read_text()


async def test_a_reader_reads_and_does_nothing_else(session: Any, roles: str, run_psql: Callable[..., str]) -> None:
    job = run_psql(roles, "-c", "select esteira.enqueue('t')")
    reader = await session("reader")
    for view in await reader.connection.fetch(VIEWS):
        await reader.connection.fetch(f"select * from {view[0]}")
    assert (await reader.job(job))["status"] == "queued"
    assert (await reader.connection.fetchrow("select code from esteira.explain($1)", job))[0] == "no_worker"
    await refuses(
        reader,
        "select esteira.enqueue('t')",
        f"select esteira.cancel('{job}')",
        "select * from esteira.claim(null, 0, 1, '{}', '{}', '{}', '{}', '{}')",
        "update esteira.job set priority = 3",
        "delete from esteira.job_live",
        "truncate esteira.job",
        "insert into esteira.queue values ('q', now())",
        "select esteira.retain()",
        "create table esteira.mine ()",
        "set role esteira_owner",
    )


async def test_a_service_does_what_clients_and_operators_do(session: Any) -> None:
    service = await session("service")
    job = await service.enqueue(idempotency_key="k", unique_key="u")
    assert await service.enqueue(idempotency_key="k", unique_key="u") == job
    await service.call("cancel", job)
    await service.call("retry", job)
    for verb in ("pause", "resume", "purge"):
        await service.call(verb, "default")
    await service.call("set_retention", "default", timedelta(hours=1))
    assert (await service.job(job))["reason"] == "purged"
    await refuses(
        service,
        "select * from esteira.claim(null, 0, 1, '{}', '{}', '{}', '{}', '{}')",
        "select esteira.complete('{}', '{}', '{}')",
        "select esteira.tick()",
        "select esteira.rescue(gen_random_uuid())",
        "select esteira.disconnect('psql')",
        "select esteira.finish('{}', 'dead', 'x', now())",
        "select esteira.requeue('{}', now(), now())",
        "select esteira.make_day(now())",
        "delete from esteira.job",
        "update esteira.retention set finished = '1 s'",
        "insert into esteira.job (queue, task) values ('q', 't')",
        "drop table esteira.step",
    )


async def test_a_worker_does_what_workers_do(session: Any, roles: str, run_psql: Callable[..., str]) -> None:
    worker = await session("worker")
    await worker.register()
    job = await worker.running()
    assert await worker.call("progress", job, 1, 0.5, "half", None)
    assert await worker.call("save_step", job, 1, "one", "1", THEN)
    assert await worker.fail(job) == "queued"
    run_psql(roles, "-c", "update esteira.job_live set ready_at = now()")
    await worker.claim()
    assert await worker.call("hold", job, 2)
    assert await worker.complete(job, attempt=2) == [job]
    assert await worker.connection.fetchval("select result from esteira.step where job_id = $1", job) == "1"
    job = await worker.running()
    assert await worker.call("release", [job], [1]) == 1
    assert len(await worker.claim()) == 1
    assert await worker.call("crash", worker.worker, 0, "gone") == 1
    assert await worker.connection.fetch("select * from esteira.heartbeat($1)", worker.worker)
    assert await worker.call("tick") == 0
    assert await worker.call("retire", worker.worker) == 0
    await refuses(
        worker,
        f"select esteira.cancel('{job}')",
        f"select esteira.discard('{job}')",
        "select esteira.pause('default')",
        "select esteira.set_retention(finished => '1 s')",
        "select esteira.disconnect('psql')",
        "select esteira.finish('{}', 'completed', null, now())",
        "select esteira.remove_day('infinity')",
        "update esteira.job_live set attempt = 9",
        "delete from esteira.worker",
        "insert into esteira.step values (gen_random_uuid(), 'x', 1, null, now(), now())",
        "truncate esteira.attempt",
    )


async def test_an_account_without_a_role_may_do_nothing(session: Any) -> None:
    stranger = await session()
    await refuses(
        stranger,
        "select * from esteira.jobs",
        "select esteira.enqueue('t')",
        "select esteira.now()",
        "select esteira.explain(gen_random_uuid())",
    )


async def test_days_that_a_worker_makes_and_drops_are_the_owner_s(
    session: Any, roles: str, run_psql: Callable[..., str]
) -> None:
    worker = await session("worker")
    job = await worker.running()
    await worker.connection.execute("set esteira.fake_now = '2000-05-06 12:00Z'")
    assert await worker.complete(job) == [job]
    assert run_psql(roles, "-c", OWNERS) == "esteira_owner"
    day = "select to_regclass('esteira.job_finished_20000506')"
    assert run_psql(roles, "-c", day)
    await worker.connection.execute("reset esteira.fake_now")
    assert await worker.call("retain") == 1
    assert run_psql(roles, "-c", day) == ""


async def test_the_fake_clock_of_anybody_but_the_owner_removes_nothing(session: Any) -> None:
    worker = await session("worker")
    job = await worker.running()
    assert await worker.complete(job) == [job]
    await worker.connection.execute("set esteira.fake_now = '2100-01-01'")
    assert await worker.call("retain") == 0
    assert await worker.count("job") == 1


async def test_a_rescue_ends_the_sessions_of_another_account(session: Any, roles: str) -> None:
    rescuer = await session("worker")
    lost = await session("worker")
    await lost.connection.execute(f"set application_name = 'esteira/{lost.worker}/1'")
    await lost.register()
    job = await lost.running()
    transaction = lost.connection.transaction()
    await transaction.start()
    assert await lost.call("hold", job, 1)
    async with asyncio.timeout(5):
        assert await rescuer.call("rescue", lost.worker) == 1
    assert (await rescuer.job(job))["status"] == "queued"
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await lost.connection.fetchval("select 1")


async def test_where_it_may_not_end_a_session_the_rescue_goes_on(session: Any, connect: Any) -> None:
    """A superuser's sessions are nobody's to end."""
    superuser = Queue(await connect(), (worker := await session("worker")).worker)
    await superuser.connection.execute(f"set application_name = 'esteira/{superuser.worker}/1'")
    await superuser.register()
    job = await superuser.running()
    said: list[str] = []
    worker.connection.add_log_listener(lambda _, message: said.append(message.message))
    assert await worker.call("rescue", superuser.worker) == 1
    assert any("may not end the session" in text for text in said)
    assert (await superuser.job(job))["status"] == "queued"


async def test_what_the_caller_s_session_shadows_changes_nothing(
    session: Any, roles: str, run_psql: Callable[..., str]
) -> None:
    worker = await session("worker", "service")
    run_psql(
        roles,
        "-c",
        "create schema evil; grant all on schema evil to public; grant temporary on database "
        f'"{roles.rsplit("/", 1)[1]}" to public',
    )
    for schema in ("evil", "pg_temp"):
        await worker.connection.execute("set search_path = default")
        for table in (
            "job",
            "job_live",
            "job_dead",
            "job_finished",
            "activity",
            "step",
            "worker",
            "queue",
            "task",
            "retention",
        ):
            await worker.connection.execute(f"create table {schema}.{table} (id int)")
        await worker.connection.execute(f"""
            create function {schema}.clock_timestamp() returns timestamptz language sql
            as 'select ''1999-01-01''::timestamptz';
            create function {schema}.hashtext(text) returns int language plpgsql as 'begin raise ''evil''; end';
            create function {schema}.pg_notify(text, text) returns void language plpgsql as 'begin raise ''evil''; end';
            create function {schema}.never(text, text) returns boolean language sql as 'select false';
            create operator {schema}.= (leftarg = text, rightarg = text, function = {schema}.never)""")
        await worker.connection.execute(f"set search_path = {schema}, pg_catalog, esteira")
        await worker.connection.execute("select esteira.register(gen_random_uuid(), 'h', 1, '0', null, 1, 1, '[]')")
        job = await worker.running()
        assert await worker.call("save_step", job, 1, "one", "1", THEN)
        assert await worker.call("progress", job, 1, 0.5, None, None)
        assert await worker.complete(job) == [job]
        doomed = await worker.running()
        assert await worker.fail(doomed, retryable=False) == "dead"
        await worker.call("retry", doomed)
        await worker.call("cancel", doomed)
        await worker.call("retain")
        await worker.call("tick")
        run_psql(roles, "-c", "select esteira.purge('default')")
        assert run_psql(roles, "-c", f"select status from esteira.jobs where id = '{job}'") == "completed"
        assert (
            int(run_psql(roles, "-c", f"select extract(year from finished_at) from esteira.jobs where id = '{job}'"))
            > 2020
        )


def test_an_account_that_is_no_superuser_installs_hands_over_and_upgrades(
    postgres_bin: Path, run_psql: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a managed database, where it may make roles: a server of its own, that has none of ours yet."""
    with open_folder() as folder, EmbeddedPostgres(folder / "data", durable=False, bin_dir=postgres_bin) as server:
        run_psql(server.url(), "-c", "create role boss login createrole password 'secret'")
        for database in ("installed", "migrated"):
            run_psql(server.url(), "-c", f"create database {database} owner boss")
            url = as_account(server.url(database), "boss", "secret")
            if database == "installed":
                run_psql(url, "--single-transaction", "-f", INSTALL)
            else:
                esteira_migrations.upgrade(url)
            for _ in range(2):
                run_psql(url, "--single-transaction", "-f", ROLES)
            assert run_psql(url, "-c", OWNERS) == "esteira_owner"
            assert run_psql(url, "-c", GRANTS) + "\n" == SNAPSHOT.read_text()
            upgrade_once_more(url, monkeypatch)
            assert run_psql(url, "-c", OWNERS) == "esteira_owner"
            assert "EVERYBODY" not in run_psql(url, "-c", GRANTS)


def test_roles_that_another_account_made_are_used_once_it_grants_them(
    postgres_bin: Path, run_psql: Callable[..., str]
) -> None:
    """As in a second database of a server: a server of its own, that has none of ours yet."""
    with open_folder() as folder, EmbeddedPostgres(folder / "data", durable=False, bin_dir=postgres_bin) as server:
        for name in ("first", "second"):
            run_psql(server.url(), "-c", f"create role {name} login createrole password 'secret'")
            run_psql(server.url(), "-c", f"create database {name} owner {name}")
        first, second = (as_account(server.url(name), name, "secret") for name in ("first", "second"))
        for url in (first, second):
            esteira_migrations.upgrade(url)
        run_psql(first, "--single-transaction", "-f", ROLES)
        version = int(run_psql(server.url(), "-c", "show server_version_num"))
        if version >= 160_000:  # before, who may create roles may grant any
            with pytest.raises(CalledProcessError) as refused:
                run_psql(second, "--single-transaction", "-f", ROLES)
            assert "HINT:  As that account, or a superuser: grant esteira_owner to second" in refused.value.stderr
            run_psql(first, "-c", "grant esteira_owner to second")
        for _ in range(2):
            run_psql(second, "--single-transaction", "-f", ROLES)
        assert run_psql(second, "-c", OWNERS) == "esteira_owner"
        assert run_psql(second, "-c", GRANTS) + "\n" == SNAPSHOT.read_text()


def upgrade_once_more(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the newest revision's place once more, with something small in it."""

    def make_something(_: str) -> None:
        from alembic import op

        op.execute("create table esteira.made_later (); create function esteira.later() returns int return 1")
        op.execute("alter table esteira.queue add column later int")

    with psycopg.connect(url) as connection:
        connection.execute("set role esteira_owner")
        connection.execute("delete from esteira.alembic_version")
    with monkeypatch.context() as patch:
        patch.setattr("esteira_migrations.frozen.run", make_something)
        esteira_migrations.upgrade(url)


def test_roles_before_the_schema_say_what_is_missing(empty_database_url: str, run_psql: Callable[..., str]) -> None:
    with pytest.raises(CalledProcessError) as refused:
        run_psql(empty_database_url, "--single-transaction", "-f", ROLES)
    assert 'schema "esteira" does not exist' in refused.value.stderr
