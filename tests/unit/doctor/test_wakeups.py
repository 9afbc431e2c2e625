from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from esteira.database import Database
from esteira.database.listener import Listener
from esteira.doctor import wakeups
from esteira.doctor.site import Site
from esteira.settings import Settings
from tests.pgbouncer import running_pgbouncer
from tests.worker.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable

    Sql = Callable[..., Any]


async def test_without_a_pooler_all_is_in_order(site: Site) -> None:
    [found] = await wakeups.pooler(site)
    assert found.level == "ok"


async def test_a_pooler_without_a_way_past_it_is_told(database_url: str, postgres_server: Any) -> None:
    name = database_url.rpartition("/")[2]
    with running_pgbouncer(postgres_server.admin_url) as bouncer:
        pooled = bouncer.url(name)
        for direct, level in ((None, "warning"), (pooled, "warning"), (database_url, "ok")):
            site = Site.of(Settings(database_url=pooled, direct_url=direct))
            [found] = await wakeups.pooler(site)
            assert (found.level, await wakeups.notifications(site) == []) == (level, level == "warning")
            await site.close()


async def test_a_notification_that_is_sent_arrives(site: Site) -> None:
    [found] = await wakeups.notifications(site)
    assert found.level == "ok"


async def test_a_direct_url_that_leads_elsewhere_hears_nothing(
    database_url: str, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "NOTIFY_SECONDS", 0.2)
    site = Site.of(Settings(database_url=database_url, direct_url=empty_database_url))
    [found] = await wakeups.notifications(site)
    await site.close()
    assert (found.level, found.action) == (
        "warning", "let ESTEIRA_DIRECT_URL name the same database, on the server itself"
    )  # fmt: skip


async def test_an_engine_that_does_not_listen_is_told(
    site: Site, database_url: str, register: Callable[..., Any]
) -> None:
    assert await wakeups.listeners(site) == []
    worker = register(engines=2)
    names = [f"esteira/{worker}/{engine}" for engine in (0, 1)]
    with psycopg.connect(database_url, autocommit=True, application_name=names[0]) as first:
        first.execute("listen esteira")
        [found] = await wakeups.listeners(site)
        assert (found.level, str(worker) in found.detail) == ("warning", True)
        with psycopg.connect(database_url, autocommit=True, application_name=names[1]) as second:
            second.execute('LISTEN "esteira"')
            [found] = await wakeups.listeners(site)
    assert (found.level, found.detail) == ("ok", "2 engines listening")


async def test_a_listener_that_asked_whether_it_would_hear_still_listens(
    site: Site, sql: Sql, database_url: str, register: Callable[..., Any]
) -> None:
    worker = register()
    database = Database(database_url, session_name=f"esteira/{worker}/1")
    listening = asyncio.create_task(Listener(database, lambda _: None, ask_seconds=0.05).run())
    asked = "select count(*) from pg_stat_activity where application_name = %s and query like '%%read_only%%'"
    await until(lambda: sql(asked, database.session_name) == [(1,)])
    [found] = await wakeups.listeners(site)
    assert (found.level, found.detail) == ("ok", "1 engine listening")
    listening.cancel()
    await asyncio.wait([listening])
    await database.close()
