"""What is measured: a file in scenarios/ with a SCENARIO in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.measured import Figure
from bench.scale import Rounds, Scale
from bench.session import Session


@dataclass(frozen=True)
class Scenario:
    """A measurement.

    round: what one round of a system is and gives; rounds run in turns, one system after the other.
    rounds: how many: "many" (ratios of rates), "few" (each has many samples of its own), "once" (it fills a database).
    alone: it is about Esteira only. long: `make bench` leaves it out unless it is named.
    """

    name: str
    title: str
    round: Callable[[Session, Scale], Awaitable[list[Figure]]]
    rounds: Rounds = "many"
    alone: bool = False
    long: bool = False
