"""Wait for a condition in the database."""

from __future__ import annotations

import asyncio
import time

import asyncpg


async def until(
    connection: asyncpg.Connection[asyncpg.Record], condition: str, *args: object, seconds: float = 120
) -> float:
    """Ask until the condition holds; returns after how many seconds it did. Raises TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await connection.fetchval(condition, *args):
            await asyncio.sleep(0.005)
    return time.monotonic() - began
