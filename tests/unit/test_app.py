from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING

import pytest

from esteira import App, ConfigurationError

if TYPE_CHECKING:
    from tests.unit.conftest import Belt


async def greet(name: str) -> str:
    return f"hello {name}"


async def test_an_app_reads_the_database_from_the_environment_when_first_needed(
    monkeypatch: pytest.MonkeyPatch, database_url: str, belt: Belt
) -> None:
    monkeypatch.delenv("ESTEIRA_DATABASE_URL", raising=False)
    app = App("app")
    task = app.task()(greet)
    with pytest.raises(ConfigurationError, match="ESTEIRA_DATABASE_URL"):
        await task.enqueue({"name": "Ana"})
    monkeypatch.setenv("ESTEIRA_DATABASE_URL", database_url)
    await task.enqueue({"name": "Ana"})
    await app.close()
    assert belt.claim("app.greet").payload == '{"name": "Ana"}'


async def test_closing_twice_is_closing_once(app: App) -> None:
    await app.client.queues()
    await app.close()
    await app.close()


def test_an_app_works_in_one_event_loop_after_the_other(database_url: str, belt: Belt) -> None:
    app = App("app", database_url=database_url)
    task = app.task()(greet)

    async def crowd(size: int) -> None:
        # Many at once, so that they wait for each other's connections in either loop.
        await asyncio.gather(*(task.enqueue({"name": "Ana"}) for _ in range(size)))

    async def closing() -> None:
        await crowd(15)
        await app.close()

    with warnings.catch_warnings():
        # The first loop ends without closing: its connections are found by the garbage collector, which says so.
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(crowd(15))
        asyncio.run(closing())
        gc.collect()
    assert belt.value("select count(*) from esteira.job") == 30
