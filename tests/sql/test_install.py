from __future__ import annotations

from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any

import pytest

from esteira.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

SQL = Path(__file__).parents[2] / "sql"
WITHOUT_COMMENT = """
select kind || ' ' || name from (
    select 'schema' as kind, nspname::text as name, obj_description(oid, 'pg_namespace') as said
    from pg_namespace where nspname = 'esteira'
    union all
    select 'relation', oid::regclass::text, obj_description(oid, 'pg_class')
    from pg_class where relnamespace = 'esteira'::regnamespace and relkind in ('r', 'p', 'v')
    union all
    select 'function', oid::regprocedure::text, obj_description(oid, 'pg_proc')
    from pg_proc where pronamespace = 'esteira'::regnamespace
) as object
where coalesce(length(said), 0) < 10"""
COLUMNS_WITHOUT_COMMENT = """
select attrelid::regclass || '.' || attname
from pg_attribute join pg_class as c on c.oid = attrelid
where relnamespace = 'esteira'::regnamespace and relkind in ('r', 'p') and not relispartition
  and attnum > 0 and not attisdropped and col_description(attrelid, attnum) is null"""


def test_everything_has_a_comment(psql: Callable[..., str]) -> None:
    assert psql(WITHOUT_COMMENT) == ""


def test_every_column_of_a_table_has_a_comment(psql: Callable[..., str]) -> None:
    assert psql(COLUMNS_WITHOUT_COMMENT) == ""


def test_install_sql_runs_once_in_psql_and_stamps_the_version(run_psql: Any, empty_database_url: str) -> None:
    run_psql(empty_database_url, "--single-transaction", "-f", SQL / "install.sql")
    assert run_psql(empty_database_url, "-c", "select version_num from esteira.alembic_version") == SCHEMA_VERSION


def test_install_sql_stops_at_a_database_that_has_the_schema_and_leaves_it_alone(
    run_psql: Any, database_url: str
) -> None:
    run_psql(database_url, "-c", "select esteira.enqueue('t')")
    with pytest.raises(CalledProcessError) as refused:
        run_psql(database_url, "--single-transaction", "-f", SQL / "install.sql")
    assert "already exists" in refused.value.stderr
    assert run_psql(database_url, "-c", "select count(*) from esteira.job") == "1"


def test_every_file_is_installed_once() -> None:
    installed = [
        line.removeprefix("\\ir ") for line in (SQL / "install.sql").read_text().splitlines() if line[:3] == "\\ir"
    ]
    there = [str(path.relative_to(SQL)) for path in SQL.rglob("*.sql") if path.name not in ("install.sql", "roles.sql")]
    assert sorted(installed) == sorted(there)
