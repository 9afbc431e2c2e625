from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from bench import run as running
from bench.measured import Figure
from bench.run import Outcome, run, turns
from bench.scale import SHORT
from bench.scenario import Scenario
from bench.system import MissingError


class System:
    cannot: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, name: str, *, missing: str = "") -> None:
        self.name, self.missing = name, missing

    def version(self) -> str:
        if self.missing:
            raise MissingError(self.missing)
        return "1"


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    @asynccontextmanager
    async def opened(system: System, _: object) -> AsyncIterator[Any]:
        if system.name == "unborn":
            raise ValueError("no schema")
        yield SimpleNamespace(system=system, last_words=lambda: "")

    monkeypatch.setattr(running, "session", opened)
    return []


async def outcome_of(systems: list[System], visits: list[str], **options: Any) -> Outcome:
    async def one_round(session: Any, _: object) -> list[Figure]:
        visits.append(session.system.name)
        if session.system.name == "fragile" and visits.count("fragile") == 2:
            raise RuntimeError("stuck")
        return [Figure("rate", len(visits), "jobs/s", "more")]

    kept: list[Outcome] = []
    scenario = Scenario("drain", "Drain", one_round, **options)
    await run([scenario], {one.name: one for one in systems}, SHORT, None, kept.append)  # type: ignore[arg-type,misc]
    return kept[-1]


def test_every_round_visits_everyone_and_another_begins() -> None:
    assert [list(order) for order in turns(["a", "b", "c"], 4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


async def test_rounds_are_interleaved(visits: list[str]) -> None:
    outcome = await outcome_of([System("esteira"), System("peer")], visits)
    assert visits == ["esteira", "peer", "peer", "esteira", "esteira", "peer"]
    assert [(one.system, one.rounds) for one in outcome.measured] == [("esteira", [1, 4, 5]), ("peer", [2, 3, 6])]


async def test_a_system_that_fails_keeps_its_earlier_rounds_and_stops_nobody(visits: list[str]) -> None:
    outcome = await outcome_of([System("esteira"), System("fragile")], visits)
    assert visits == ["esteira", "fragile", "fragile", "esteira", "esteira"]
    assert [len(one.rounds) for one in outcome.measured] == [3, 1]
    assert outcome.missing == [{"system": "fragile", "scenario": "drain", "why": "RuntimeError: stuck"}]


async def test_who_fails_at_the_end_of_all_rounds_has_no_figure(visits: list[str]) -> None:
    async def end(session: Any, _: object) -> list[Figure]:
        visits.append(f"{session.system.name} ends")
        if session.system.name == "peer":
            raise RuntimeError("a job is gone")
        return []

    outcome = await outcome_of([System("esteira"), System("peer")], visits, rounds="few", end=end)
    assert visits == ["esteira", "peer", "esteira ends", "peer ends"]
    assert [one.system for one in outcome.measured] == ["esteira"]
    assert outcome.missing == [{"system": "peer", "scenario": "drain", "why": "RuntimeError: a job is gone"}]


async def test_what_is_missing_or_cannot_start_is_named_with_its_reason(visits: list[str]) -> None:
    outcome = await outcome_of([System("absent", missing="install it"), System("unborn"), System("esteira")], visits)
    assert set(visits) == {"esteira"}
    assert [(one["system"], one["why"]) for one in outcome.missing] == [
        ("absent", "install it"),
        ("unborn", "ValueError: no schema"),
    ]


async def test_what_is_about_esteira_alone_asks_nobody_else(visits: list[str]) -> None:
    await outcome_of([System("esteira"), System("peer")], visits, alone=True)
    assert set(visits) == {"esteira"}
