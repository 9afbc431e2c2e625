from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esteira.doctor import examination, examine
from esteira.errors import ConfigurationError
from esteira.settings import Settings
from tests.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.doctor import Finding


async def findings(url: str) -> list[Finding]:
    return [finding async for finding in examine(Settings(database_url=url))]


async def test_every_check_has_its_say(database_url: str) -> None:
    found = await findings(database_url)
    assert len({finding.check for finding in found}) >= 20
    wrong = [finding for finding in found if finding.level not in ("ok", "note") and finding.check != "durability"]
    assert wrong == []


async def test_a_database_that_does_not_answer_is_one_problem() -> None:
    [found] = await findings("postgresql://nobody@127.0.0.1:1/none")
    assert (found.check, found.level) == ("database", "problem")


async def test_without_the_schema_the_server_is_still_examined(empty_database_url: str) -> None:
    found = await findings(empty_database_url)
    assert (found[-1].check, found[-1].level) == ("schema", "problem")
    assert "notifications" in {finding.check for finding in found}


async def test_without_a_database_url_nothing_is_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ESTEIRA_DATABASE_URL", raising=False)
    with pytest.raises(ConfigurationError):
        [finding async for finding in examine(Settings())]


async def test_a_role_that_may_not_look_into_the_schema_has_a_problem(ordinary_role: str) -> None:
    found = await findings(ordinary_role)
    assert (found[-1].check, found[-1].level) == ("rights", "problem")


async def test_a_role_without_rights_is_told_what_cannot_be_checked(
    ordinary_role: str, sql: Callable[..., Any]
) -> None:
    role = ordinary_role.partition("//")[2].partition(":")[0]
    sql(f"grant usage on schema esteira to {role}")
    sql(f"grant select on esteira.alembic_version to {role}")
    found = await findings(ordinary_role)
    denied = [finding for finding in found if finding.detail.startswith("could not be checked: permission denied")]
    assert denied
    assert {finding.level for finding in denied} == {"note"}


async def test_a_check_that_takes_too_long_says_so(site: Any) -> None:
    async def slow_query(site: Any) -> Any:
        async with site.database.acquire() as connection:
            await connection.execute("set statement_timeout = 1")
            await connection.execute("select pg_sleep(5)")

    [found] = await examination.carefully(slow_query, site)
    assert (found.level, found.detail.startswith("could not be checked")) == ("note", True)


@pytest.mark.parametrize("role", ["esteira_reader", "esteira_service", "esteira_worker"])
async def test_each_of_our_roles_can_have_everything_checked(
    database_url: str, run_psql: Callable[..., str], ordinary_role: str, sql: Callable[..., Any], role: str
) -> None:
    run_psql(database_url, "--single-transaction", "-f", ROLES)
    sql(f"grant {role} to {ordinary_role.partition('//')[2].partition(':')[0]}")
    found = await findings(ordinary_role)
    assert [finding.detail for finding in found if "could not be checked" in finding.detail] == []
    wrong = {finding.check for finding in found if finding.level in ("warning", "problem")}
    assert wrong <= {"durability"}
    # What it may not see, it says.
    [transactions] = [finding for finding in found if finding.check == "transactions"]
    assert "grant pg_read_all_stats to" in str(transactions.action)
