"""The queue's clock, moved for the whole database."""

from __future__ import annotations

from datetime import datetime, timedelta

from esteira.database import Database

_SET = """
select format('alter database %I set esteira.fake_now = %L', current_database(), (esteira.now() + $1::interval)::text)
"""
_RESET = "select format('alter database %I reset esteira.fake_now', current_database())"


class Clock:
    """Set the time that new sessions see. Once it was moved it stands still, until it is moved again or let go."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._moved = False

    async def now(self) -> datetime:
        """Return the queue's time."""
        now: datetime = await self._database.fetchval("select esteira.now()")
        return now

    async def advance(self, by: timedelta) -> None:
        """Move it forward; sessions that are open already do not notice."""
        self._moved = True
        await self._database.fetch(await self._database.fetchval(_SET, by))

    async def let_go(self) -> None:
        """Return to real time, for new sessions."""
        if self._moved:
            await self._database.fetch(await self._database.fetchval(_RESET))
            self._moved = False
