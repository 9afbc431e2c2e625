from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from esteira.database import Database, Listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.conftest import Belt

Heard = asyncio.Queue[str | None]


@pytest_asyncio.fixture
async def heard(database: Database) -> AsyncIterator[Heard]:
    queue: Heard = asyncio.Queue()
    listening = asyncio.create_task(Listener(database, queue.put_nowait).run())
    yield queue
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening


async def test_notifications_are_heard_after_a_first_none(heard: Heard, belt: Belt) -> None:
    assert await heard.get() is None
    belt.connection.execute("select esteira.notify_workers('{mail}')")
    assert await heard.get() == "mail"


async def test_a_lost_connection_is_made_anew_and_told_of(heard: Heard, belt: Belt) -> None:
    assert await heard.get() is None
    for _ in range(2):
        assert belt.end_sessions() == 1
        async with asyncio.timeout(10):
            assert await heard.get() is None
    belt.connection.execute("select esteira.notify_workers('{mail}')")
    assert await heard.get() == "mail"


async def test_a_database_that_is_away_is_tried_again(database_url: str) -> None:
    queue: Heard = asyncio.Queue()
    database = Database("postgresql://127.0.0.1:1/nobody")
    tried = asyncio.Event()
    connect = database.connect

    async def connect_and_tell() -> object:
        tried.set()
        return await connect()

    database.connect = connect_and_tell  # type: ignore[method-assign,assignment]
    listening = asyncio.create_task(Listener(database, queue.put_nowait).run())
    await tried.wait()
    database.url = database_url
    async with asyncio.timeout(10):
        assert await queue.get() is None
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
