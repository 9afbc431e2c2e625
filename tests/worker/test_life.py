"""What a life does over and over, without the processes that it looks after."""

from __future__ import annotations

from typing import Any

import pytest

from esteira.errors import DatabaseUnavailable
from esteira.settings import Settings
from esteira_worker import life
from esteira_worker.stop import Stop

URL = "postgresql://nowhere"


class Ticking:
    """A database for which ticks last as long as they are said to, and which notes when one is thorough."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.answer: int | Exception | None = 0
        self.lasts = 0.01
        monkeypatch.setattr(life.time, "monotonic", lambda: self.now)
        self.life = life.Life(Settings(database_url=URL), self, Stop())  # type: ignore[arg-type]

    async def fetchval(self, _statement: str, _lease: int, thorough: bool) -> int | None:  # noqa: FBT001 - asyncpg's
        self.thorough = thorough
        if thorough:
            self.now += self.lasts
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def ticks(self, times: int) -> str:
        """Tick whenever a second and its jitter are over; return which were thorough, as T, and which were not."""
        seen = ""
        for _ in range(times):
            self.now += 1.3
            try:
                await self.life._tick(self.now)
            except DatabaseUnavailable:
                seen += "!"
            seen += "T" if self.thorough else "-"
        return seen


def answer(engines: int) -> Any:
    return {"engines": engines, "cancel_ids": [], "draining": False}


async def test_cheap_ticks_are_thorough_each_second_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = Ticking(monkeypatch)
    assert await ticking.ticks(3) == "TTT"
    ticking.life._pass_on(answer(engines=100))
    assert "T" not in await ticking.ticks(50)
    ticking.life._pass_on(answer(engines=1))
    assert await ticking.ticks(2) == "TT"


async def test_dear_ones_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = Ticking(monkeypatch)
    ticking.lasts = 0.5
    assert (await ticking.ticks(20)).count("T") <= 4


async def test_one_that_another_worker_kept_away_was_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = Ticking(monkeypatch)
    ticking.life._pass_on(answer(engines=100))
    ticking.answer = None
    assert await ticking.ticks(3) == "TTT"


async def test_one_that_took_too_long_lets_the_next_count_the_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = Ticking(monkeypatch)
    ticking.lasts, ticking.answer = 30, DatabaseUnavailable("too long")
    assert await ticking.ticks(2) == "!T!T"
    assert await ticking.ticks(30) == "!-" * 30
