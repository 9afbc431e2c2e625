from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from esteira.database import SyncDatabase
from esteira.errors import DatabaseUnavailable, InvalidInput, JobNotFound

if TYPE_CHECKING:
    from tests.unit.conftest import Belt


def test_rows_and_values_are_read_in_named_sessions(database_url: str) -> None:
    database = SyncDatabase(database_url, session_name="esteira/w/0")
    assert database.fetchval("select current_setting('application_name')") == "esteira/w/0"
    assert database.fetch("select * from generate_series(1, $1) as n", 3) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert database.fetchval("select 1 where false") is None
    database.close()


def test_threads_share_the_pool(database_url: str, belt: Belt) -> None:
    database = SyncDatabase(database_url, session_name="shared", size=2)
    threads = [threading.Thread(target=database.fetchval, args=("select pg_sleep(0.02)",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= belt.value("select count(*) from pg_stat_activity where application_name = 'shared'") <= 2
    database.close()


def insert_and_raise(database: SyncDatabase) -> None:
    with database.acquire() as connection, connection.transaction():
        connection.execute("insert into kept values (1)")
        raise RuntimeError


def lose_connection(database: SyncDatabase, belt: Belt) -> None:
    with database.acquire() as connection, connection.transaction():
        belt.end_sessions()
        connection.execute("select 1")


def test_a_transaction_commits_or_rolls_back(sync_database: SyncDatabase) -> None:
    with sync_database.acquire() as connection, connection.transaction():
        connection.execute("create table kept (n int)")
    with pytest.raises(RuntimeError):
        insert_and_raise(sync_database)
    assert sync_database.fetchval("select count(*) from kept") == 0


def test_connections_that_were_ended_are_made_anew(sync_database: SyncDatabase, belt: Belt) -> None:
    assert sync_database.fetchval("select 1") == 1
    assert belt.end_sessions() >= 1
    with sync_database.acquire() as connection, connection.transaction():
        connection.execute("select 1")


def test_what_postgres_refuses_becomes_one_of_our_errors(sync_database: SyncDatabase) -> None:
    with pytest.raises(JobNotFound):
        sync_database.fetchval("select esteira.cancel(gen_random_uuid())")
    with pytest.raises(InvalidInput):
        sync_database.fetchval("select $1::text", "\0")
    with pytest.raises(psycopg.errors.SyntaxError):
        sync_database.fetchval("selec")


def test_the_errors_of_a_block_stay_what_they_are(sync_database: SyncDatabase) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), sync_database.acquire() as connection:
        connection.execute("select * from no_such_table")
    with pytest.raises(OSError, match="disk"), sync_database.acquire():
        raise OSError("disk")


def test_losing_the_connection_is_a_database_unavailable(sync_database: SyncDatabase, belt: Belt) -> None:
    with pytest.raises(DatabaseUnavailable):
        lose_connection(sync_database, belt)
    assert sync_database.fetchval("select 1") == 1


@pytest.mark.parametrize("ending", ["well", "raising"])
def test_a_lent_connection_comes_back_clean(database_url: str, ending: str) -> None:
    database = SyncDatabase(database_url, size=1)
    with contextlib.suppress(RuntimeError), database.acquire() as connection:
        connection.execute("set search_path = pg_catalog; create temp table left_over (); select pg_advisory_lock(1)")
        if ending == "raising":
            raise RuntimeError
    (row,) = database.fetch("""
        select current_setting('search_path') as path, to_regclass('left_over') as temporary,
               (select count(*) from pg_locks where locktype = 'advisory') as locks""")
    assert row == {"path": '"$user", public', "temporary": None, "locks": 0}
    database.close()


def test_an_absent_database_is_said_to_be_so_at_once_and_why(database_url: str) -> None:
    begun = time.monotonic()
    for url, why in (
        ("postgresql://127.0.0.1:1/nobody", "refused"),
        (f"{database_url}_not", "does not exist"),
        (f"{database_url}?application_name", "missing key"),
    ):
        absent = SyncDatabase(url)
        with pytest.raises((DatabaseUnavailable, psycopg.ProgrammingError), match=why):
            absent.fetchval("select 1")
        absent.close()
    assert time.monotonic() - begun < 2


def test_a_closed_database_opens_again(sync_database: SyncDatabase) -> None:
    assert sync_database.fetchval("select 1") == 1
    sync_database.close()
    assert sync_database.fetchval("select 1") == 1
