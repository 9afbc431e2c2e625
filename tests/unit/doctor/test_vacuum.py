from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from esteira.doctor import queries, vacuum
from tests.unit.doctor.test_server import Answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.doctor.site import Site

    Sql = Callable[..., Any]


async def test_without_long_transactions_all_is_in_order(site: Site) -> None:
    [found] = await vacuum.transactions(site)
    assert found.level == "ok"


@pytest.mark.parametrize(("limits", "level"), [((0.0, 3600.0), "warning"), ((0.0, 0.0), "problem")])
async def test_a_held_transaction_is_named_with_what_it_holds_back_and_how_it_ends(
    site: Site, database_url: str, monkeypatch: pytest.MonkeyPatch, limits: tuple[float, float], level: str
) -> None:
    monkeypatch.setattr(vacuum, "LONG_SECONDS", limits[0])
    monkeypatch.setattr(vacuum, "TOO_LONG_SECONDS", limits[1])
    with psycopg.connect(database_url, application_name="report") as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select count(*) from esteira.job_live")
        pid = holder.info.backend_pid
        [found] = await vacuum.transactions(site)
    assert found.level == level
    assert f"the transaction of report (pid {pid}, idle in transaction) has been open for" in found.detail
    assert "vacuum cannot remove what was deleted since (0 dead rows in job_live)" in found.detail
    assert found.action == f"psql \"$ESTEIRA_DATABASE_URL\" -c 'select pg_terminate_backend({pid})'"


async def test_a_transaction_of_another_database_holds_nothing_back(
    site: Site, postgres_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum, "LONG_SECONDS", 0.0)
    with psycopg.connect(postgres_server.admin_url) as holder:
        holder.execute("select 1")
        [found] = await vacuum.transactions(site)
    assert found.level == "ok"


async def test_a_slot_that_holds_a_snapshot_and_is_not_used_is_told(site: Site) -> None:
    class Slots:
        async def rows(self, _: str) -> list[dict[str, Any]]:
            return [{"name": "gone", "active": False, "age": 7}, {"name": "used", "active": True, "age": 7}]

    [found] = await vacuum.slots(Slots())  # type: ignore[arg-type]
    assert "the replication slot gone is not used" in found.detail
    [found] = await vacuum.slots(site)
    assert found.level == "ok"


async def test_autovacuum_that_is_off_is_a_problem(site: Site, sql: Sql) -> None:
    sql("alter table esteira.job_live set (autovacuum_enabled = false)")
    [found] = await vacuum.autovacuum(site)
    assert found.level == "problem"
    off = await vacuum.autovacuum(Answers(site, queries.SERVER, autovacuum="off", track_counts="off"))  # type: ignore[arg-type]
    assert [one.level for one in off] == ["problem"] * 3


async def test_autovacuum_that_is_behind_is_told(site: Site) -> None:
    [found] = await vacuum.autovacuum(site)
    assert (found.level, found.detail) == ("ok", "job_live has 0 dead rows")
    [found] = await vacuum.autovacuum(Answers(site, queries.HEALTH, job_live_dead_rows=20_001))  # type: ignore[arg-type]
    assert (found.level, found.detail) == (
        "warning", "job_live has 20,001 dead rows, where autovacuum is to begin at 5,000"
    )  # fmt: skip
