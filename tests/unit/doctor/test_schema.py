from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esteira.doctor import schema
from esteira.doctor.site import Site
from esteira.settings import Settings
from tests.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    Sql = Callable[..., Any]


@pytest.mark.parametrize(
    ("version", "level", "action"),
    [
        ("0001", "ok", None),
        ("0000", "problem", "esteira migrate"),
        ("9999", "problem", "pip install --upgrade esteira"),
    ],
)
async def test_the_schemas_version_is_compared(
    site: Site, sql: Sql, version: str, level: str, action: str | None
) -> None:
    sql("update esteira.alembic_version set version_num = %s", version)
    [found] = await schema.version(site)
    assert (found.level, found.action) == (level, action)


async def test_a_schema_that_is_missing_is_a_problem(empty_database_url: str) -> None:
    site = Site.of(Settings(database_url=empty_database_url))
    [found] = await schema.version(site)
    await site.close()
    assert (found.level, found.action) == ("problem", "esteira migrate")


async def test_the_owner_may_do_everything(site: Site) -> None:
    [found] = await schema.rights(site)
    assert found.level == "ok"


async def test_a_role_without_rights_is_told_which_it_lacks(ordinary_role: str, sql: Sql) -> None:
    site = Site.of(Settings(database_url=ordinary_role))
    [found] = await schema.usage(site)
    assert (found.level, "may not use the schema esteira" in found.detail) == ("problem", True)
    role = ordinary_role.partition("//")[2].partition(":")[0]
    sql(f"grant usage on schema esteira to {role}")
    sql("revoke execute on all functions in schema esteira from public")
    sql(f"grant select on all tables in schema esteira to {role}")
    [found] = await schema.rights(site)
    await site.close()
    assert (found.level, found.detail) == (
        "note",
        f"the database account {role} may not enqueue, cancel and retry, run jobs",
    )


@pytest.mark.parametrize(
    ("group", "level", "said"),
    [
        ("esteira_reader", "note", "may not enqueue, cancel and retry, run jobs"),
        ("esteira_service", "ok", "may not run jobs, as is meant for a service"),
        ("esteira_worker", "ok", "may not cancel and retry, as is meant for a worker"),
    ],
)
async def test_an_account_that_has_what_its_role_is_for_is_in_order(
    ordinary_role: str, sql: Sql, database_url: str, run_psql: Callable[..., str], group: str, level: str, said: str
) -> None:
    run_psql(database_url, "--single-transaction", "-f", ROLES)
    sql(f"grant {group} to {ordinary_role.partition('//')[2].partition(':')[0]}")
    site = Site.of(Settings(database_url=ordinary_role))
    [found] = await schema.rights(site)
    await site.close()
    assert (found.level, found.detail.endswith(said)) == (level, True)


async def test_partitions_that_run_out_are_a_problem(site: Site, sql: Sql) -> None:
    [found] = await schema.days(site)
    assert (found.level, found.detail) == ("ok", "partitions reach 14 days ahead")
    day = "'job_finished_' || to_char(now() at time zone 'utc' + %s::interval, 'YYYYMMDD')"
    drop = f"select format('drop table esteira.%%I', {day})"
    for days, reach in ((3, "reach 2 days"), (0, "today has no partition")):
        [[statement]] = sql(drop, f"{days} days")
        sql(statement)
        [found] = await schema.days(site)
        assert (found.level, reach in found.detail) == ("problem", True)
    sql("select esteira.maintain_partitions()")
    [found] = await schema.days(site)
    assert found.level == "ok"


async def test_a_default_partition_is_a_problem(site: Site, sql: Sql) -> None:
    sql("create table esteira.rest partition of esteira.job_finished default")
    [found] = await schema.days(site)
    assert (found.level, "esteira.rest is a default partition of esteira.job_finished" in found.detail) == (
        "problem",
        True,
    )


async def test_a_day_that_is_kept_for_too_long_is_told(site: Site, sql: Sql) -> None:
    sql("select esteira.make_day(esteira.now() - interval '8 days')")
    [found] = await schema.retention(site)
    assert found.level == "ok"
    sql("select esteira.make_day(esteira.now() - interval '10 days')")
    [found] = await schema.retention(site)
    assert (found.level, found.detail.startswith("1 day of finished jobs should be gone")) == ("warning", True)
    sql("select esteira.retain()")
    [found] = await schema.retention(site)
    assert found.level == "ok"


async def test_an_index_that_is_not_valid_is_a_problem(site: Site, sql: Sql) -> None:
    [found] = await schema.indexes(site)
    assert found.level == "ok"
    sql("update pg_index set indisvalid = false where indexrelid = 'esteira.job_live_worker'::regclass")
    [found] = await schema.indexes(site)
    assert found.level == "problem"
    assert str(found.action).endswith("-c 'reindex index concurrently esteira.job_live_worker'")
