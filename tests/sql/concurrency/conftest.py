"""A database whose verbs can be stopped, and sessions to take turns in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest_asyncio

from tests.sql.concurrency.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg


@pytest_asyncio.fixture
async def world(connect: Callable[..., Awaitable[asyncpg.Connection[Any]]]) -> World:
    """Eight sessions and the watch, in a database of their own."""
    # Whoever really waits for each other is told so at once.
    options = {"server_settings": {"deadlock_timeout": "20ms", "jit": "off", "synchronous_commit": "off"}}
    watch, gate, *sessions = [await connect(**options) for _ in range(10)]
    world = World(watch, gate, sessions)
    await world.build()
    return world
