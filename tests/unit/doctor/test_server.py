from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from esteira.doctor import queries, server
from esteira.doctor.site import Site
from esteira.embedded import EmbeddedPostgres
from esteira.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Sql = Callable[..., Any]


class Answers:
    """A site whose answer to one query is another."""

    def __init__(self, site: Site, query: str, **changes: object) -> None:
        self._site, self._query, self._changes = site, query, changes

    async def row(self, query: str, *args: object) -> Any:
        row = dict(await self._site.row(query, *args))
        return {**row, **self._changes} if query == self._query else row

    async def rows(self, query: str, *args: object) -> Any:
        return await self._site.rows(query, *args)


async def test_a_database_that_is_near_is_in_order(site: Site) -> None:
    [found] = await server.reach(site)
    assert found.level == "ok"


async def test_a_database_that_is_far_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SLOW_MS", 0.0)
    [found] = await server.reach(site)
    assert (found.level, found.action) == ("warning", "run services and workers near it")


@pytest.mark.parametrize(
    ("number", "level"), [(140_009, "problem"), (150_000, "ok"), (180_006, "ok"), (190_000, "note")]
)
async def test_the_versions_that_esteira_runs_on_are_known(site: Site, number: int, level: str) -> None:
    [found] = await server.version(Answers(site, queries.SERVER, number=number))  # type: ignore[arg-type]
    assert found.level == level


async def test_settings_that_lose_jobs_are_problems(reachable_folder: Path) -> None:
    """On a server that was started with them, and again once they are mended as the doctor says."""
    folder = reachable_folder / "data"
    with EmbeddedPostgres(folder, durable=False, settings={"synchronous_commit": "off"}) as embedded:
        site = Site.of(Settings(database_url=embedded.url()))
        found = await server.durability(site)
        await site.close()
    assert [(one.level, one.detail.partition(" ")[0]) for one in found] == [
        ("problem", "fsync"), ("problem", "full_page_writes"), ("problem", "synchronous_commit")
    ]  # fmt: skip
    assert found[0].action == (
        "psql \"$ESTEIRA_DATABASE_URL\" -c 'alter system set fsync = on' -c 'select pg_reload_conf()'"
    )
    with EmbeddedPostgres(folder, durable=True) as embedded:
        site = Site.of(Settings(database_url=embedded.url()))
        [good] = await server.durability(site)
        await site.close()
    assert good.level == "ok"


async def test_a_standby_is_told(site: Site) -> None:
    durable = {"fsync": "on", "full_page_writes": "on", "is_standby": True}
    [found] = await server.durability(Answers(site, queries.SERVER, **durable))  # type: ignore[arg-type]
    assert (found.level, "target_session_attrs" in str(found.action)) == ("problem", True)


async def test_clocks_that_agree_are_in_order(site: Site) -> None:
    [found] = await server.clock(site)
    assert found.level == "ok"


@pytest.mark.parametrize(("shift", "way"), [(60, "behind"), (-60, "ahead of")])
async def test_clocks_that_differ_are_told(site: Site, shift: float, way: str) -> None:
    answers = Answers(site, queries.CLOCK, at=time.time() + shift)
    [found] = await server.clock(answers)  # type: ignore[arg-type]
    assert found.level == "warning"
    assert f"60.0 s {way}" in found.detail


async def test_a_clock_of_tests_is_a_problem(site: Site, clock: Any) -> None:
    await clock.set(when=datetime(2030, 1, 1, tzinfo=UTC))
    [found] = await server.clock(site)
    assert found.level == "problem"
    assert "reset esteira.fake_now" in str(found.action)


@pytest.mark.parametrize(("used", "level"), [(50, "ok"), (80, "warning"), (96, "problem")])
async def test_connections_that_run_out_are_told(site: Site, used: int, level: str) -> None:
    health = {"connections": used, "max_connections": 100, "reserved": 0}
    [found] = await server.connections(Answers(site, queries.HEALTH, **health))  # type: ignore[arg-type]
    assert found.level == level


async def test_workers_that_may_want_more_connections_than_there_are_are_noted(
    site: Site, register: Callable[..., Any]
) -> None:
    register(engines=8)
    health = {"connections": 5, "max_connections": 100, "reserved": 3}
    [found] = await server.connections(Answers(site, queries.HEALTH, **health))  # type: ignore[arg-type]
    assert (found.level, found.detail) == ("note", "5 of 97 connections are used; 1 worker may want 111 at most")


async def test_a_server_that_is_asked_by_many_at_once_counts_them(site: Site, connect: Any) -> None:
    before = (await site.row(queries.HEALTH))["connections"]
    await asyncio.gather(*(connect() for _ in range(3)))
    assert (await site.row(queries.HEALTH))["connections"] >= before + 3
