from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esteira import __version__
from esteira.doctor import workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.doctor.site import Site

    Sql = Callable[..., Any]


async def test_no_worker_is_noted(site: Site) -> None:
    [found] = await workers.states(site)
    assert (found.level, found.action) == ("note", "esteira worker --tasks MODULE")


async def test_a_worker_that_is_alive_is_in_order(site: Site, register: Callable[..., Any]) -> None:
    register()
    [found] = await workers.states(site)
    assert (found.level, found.detail) == ("ok", "1 worker alive, 0 of 10 slots busy")


async def test_a_worker_whose_beat_is_old_is_told(site: Site, sql: Sql, register: Callable[..., Any]) -> None:
    register()
    sql("update esteira.worker set beat_at = beat_at - interval '5 min'")
    found = await workers.states(site)
    assert [one.level for one in found] == ["note", "warning"]
    assert "the worker host:42 has been silent for 5 min and holds 0 jobs" in found[1].detail


async def test_workers_that_leave_or_were_lost_lately_are_told(
    site: Site, sql: Sql, register: Callable[..., Any]
) -> None:
    sql("select esteira.drain(%s)", register())
    register()
    sql("update esteira.worker set lost_at = esteira.now() - interval '2 h' where id = %s", register())
    assert [one.level for one in await workers.states(site)] == ["ok", "note"]
    sql("update esteira.worker set lost_at = esteira.now() - interval '2 min' where lost_at is not null")
    found = await workers.states(site)
    assert [one.level for one in found] == ["ok", "note", "warning"]
    assert found[2].detail.startswith("1 worker lost within the hour")


async def test_workers_of_other_versions_are_noted(site: Site, register: Callable[..., Any]) -> None:
    assert await workers.versions(site) == []
    register(version=__version__)
    [found] = await workers.versions(site)
    assert found.level == "ok"
    register(version="0.0.7")
    [found] = await workers.versions(site)
    assert (found.level, found.detail) == ("note", f"this is Esteira {__version__}, and workers run 0.0.7")


async def test_slots_that_take_no_job_are_told(site: Site, sql: Sql, register: Callable[..., Any]) -> None:
    sql("select esteira.heartbeat(%s, 4)", register())
    found = await workers.states(site)
    assert [one.level for one in found] == ["ok", "warning"]
    assert "has 6 free slots. Handlers that went on" in found[1].detail
