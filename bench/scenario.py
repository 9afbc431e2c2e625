"""What is measured: a file in scenarios/ with a SCENARIO in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.measured import Figure
from bench.scale import Rounds, Scale
from bench.session import Session

Step = Callable[[Session, Scale], Awaitable[list[Figure]]]


@dataclass(frozen=True)
class Scenario:
    """A measurement.

    round: what one round of a system is and gives; rounds run in turns, one system after the other.
    rounds: how many: "brief" (ratios of rates, each of a moment), "several" (each is short, and scatters), "many" (each
    of seconds), "few" (each has many samples of its own), "once" (it fills a database).
    end: what a system does after its last round, without figures; where that fails, none of its rounds counts.
    alone: it is about Esteira only. long: `make bench` leaves it out unless it is named.
    """

    name: str
    title: str
    round: Step
    rounds: Rounds = "many"
    alone: bool = False
    long: bool = False
    end: Step | None = None
