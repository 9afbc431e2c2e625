from __future__ import annotations

import subprocess
import sys
from urllib.parse import urlsplit

import psycopg
import pytest

from esteira.errors import ConfigurationError, SchemaMismatch
from esteira.schema import SCHEMA_VERSION, check_schema
from esteira_migrations import current, head, upgrade
from tests.pgbouncer import running_pgbouncer

UPGRADE = "import sys, esteira_migrations; esteira_migrations.upgrade(sys.argv[1])"
MIGRATE_LOCK = "hashtext('esteira.migrate')"


def start_upgrade(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", UPGRADE, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_schema_that_the_library_expects_is_the_newest_revision() -> None:
    assert head() == SCHEMA_VERSION


def test_an_empty_database_is_at_no_revision_and_afterwards_at_the_newest(empty_database_url: str) -> None:
    assert current(empty_database_url) is None
    upgrade(empty_database_url)
    assert current(empty_database_url) == head()


def test_upgrading_what_install_sql_made_changes_nothing(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        before = connection.execute("select pg_current_xact_id_if_assigned(), max(xmin::text) from pg_class").fetchone()
    assert current(database_url) == head()
    upgrade(database_url)
    with psycopg.connect(database_url) as connection:
        after = connection.execute("select pg_current_xact_id_if_assigned(), max(xmin::text) from pg_class").fetchone()
    assert after == before
    assert current(database_url) == head()


def test_four_processes_upgrade_an_empty_database_at_once_and_all_succeed(empty_database_url: str) -> None:
    processes = [start_upgrade(empty_database_url) for _ in range(4)]
    outcomes = [(process.communicate(timeout=60), process.returncode) for process in processes]
    assert [code for _, code in outcomes] == [0, 0, 0, 0], outcomes
    assert sum("schema_migrated" in output for (output, _), _ in outcomes) == 1
    assert current(empty_database_url) == head()


def test_an_upgrade_says_that_it_waits_and_takes_its_turn(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as first:
        first.execute(f"select pg_advisory_lock({MIGRATE_LOCK})")
        process = start_upgrade(empty_database_url)
        assert process.stdout is not None
        assert "another process is migrating this database" in process.stdout.readline()
        assert current(empty_database_url) is None
    assert process.wait(timeout=60) == 0
    process.communicate()
    assert current(empty_database_url) == head()


def test_a_broken_revision_leaves_nothing_behind_and_frees_the_lock(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        from alembic import op

        op.execute("create table esteira.half ()")
        op.execute("select 1 / 0")

    with monkeypatch.context() as patch:
        patch.setattr("esteira_migrations.frozen.run", fail)
        with pytest.raises(Exception, match="division by zero"):
            upgrade(empty_database_url)
    assert current(empty_database_url) is None
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select to_regclass('esteira.half')").fetchone() == (None,)


def test_a_schema_newer_than_this_release_is_left_alone(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("update esteira.alembic_version set version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="upgrade Esteira"):
        upgrade(database_url)


def test_an_address_with_several_hosts_is_understood(empty_database_url: str) -> None:
    parts = urlsplit(empty_database_url)
    several = parts._replace(
        netloc=f"{parts.username}:{parts.password or ''}@127.0.0.1:1,{parts.hostname}:{parts.port}",
        query="target_session_attrs=read-write",
    ).geturl()
    upgrade(several)
    assert current(empty_database_url) == head()


def test_the_known_schema_is_accepted() -> None:
    check_schema(SCHEMA_VERSION)


@pytest.mark.parametrize(
    ("found", "advice"),
    [(None, "esteira migrate"), ("0000", "esteira migrate"), ("0002", "upgrade Esteira")],
    ids=["missing", "older", "newer"],
)
def test_an_unknown_schema_is_refused_with_what_to_run(found: str | None, advice: str) -> None:
    with pytest.raises(SchemaMismatch, match=advice) as refused:
        check_schema(found)
    if found is not None:
        assert found in str(refused.value)
        assert SCHEMA_VERSION in str(refused.value)


def test_an_upgrade_does_not_go_through_a_pooler(empty_database_url: str) -> None:
    parts = urlsplit(empty_database_url)
    with running_pgbouncer(empty_database_url) as bouncer:
        with pytest.raises(ConfigurationError, match="set ESTEIRA_DIRECT_URL to PostgreSQL's own address"):
            upgrade(bouncer.url(parts.path[1:]))
        assert current(empty_database_url) is None
