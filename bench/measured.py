"""Figures: what a round gives, their medians over the rounds, and ratios between systems that ran in turns."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["more", "less"]
OURS = "esteira"


@dataclass(frozen=True)
class Figure:
    """One number of one round."""

    name: str
    value: float
    unit: str
    better: Better


@dataclass
class Measured:
    """A figure of a system in all rounds, in the order of the rounds."""

    scenario: str
    figure: str
    unit: str
    better: Better
    system: str
    rounds: list[float]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least this share (0 to 1) of them do not exceed."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def latencies(name: str, seconds: Sequence[float]) -> list[Figure]:
    """Return p50 and p99 in milliseconds."""
    return [Figure(f"{name}p{share}", percentile(seconds, share / 100) * 1000, "ms", "less") for share in (50, 99)]


def ratio(ours: Measured, theirs: Measured) -> float | None:
    """Return how many times better ours is: the median of the ratios of rounds that ran beside one another.

    Above 1 ours is better, whichever way the figure goes. None where nothing can be divided.
    """
    pairs = zip(ours.rounds, theirs.rounds, strict=False)
    ratios = [mine / other if ours.better == "more" else other / mine for mine, other in pairs if mine and other]
    return statistics.median(ratios) if ratios else None


def collected(scenario: str, system: str, rounds: Sequence[Sequence[Figure]]) -> list[Measured]:
    """Gather the figures of a system's rounds by their names."""
    found: dict[str, Measured] = {}
    for figures in rounds:
        for one in figures:
            measured = found.setdefault(one.name, Measured(scenario, one.name, one.unit, one.better, system, []))
            measured.rounds.append(one.value)
    return list(found.values())


def as_json(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return what stands in the JSON: each figure with its median and, for peers, the ratio to ours."""
    ours = {(one.scenario, one.figure): one for one in measured if one.system == OURS}
    return [
        {
            "scenario": one.scenario,
            "figure": one.figure,
            "unit": one.unit,
            "better": one.better,
            "system": one.system,
            "rounds": one.rounds,
            "median": one.median,
            "esteira_is_better_by": _ratio_to(ours.get((one.scenario, one.figure)), one),
        }
        for one in measured
    ]


def _ratio_to(ours: Measured | None, theirs: Measured) -> float | None:
    return None if ours is None or ours is theirs else ratio(ours, theirs)
