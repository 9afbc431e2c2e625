"""Find a comb: high values that come back at a fixed period, against the chance of finding one by looking hard."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MIN_TEETH = 4  # fewer repetitions cannot be told from coincidence after looking at every period and phase
DEPTHS = (1, 2)


@dataclass(frozen=True)
class Comb:
    """`p_value` is the chance of so strong a comb in exchangeable values, all that was tried counted in."""

    period: int
    phase: int
    teeth: int
    p_value: float


def strongest_comb(values: NDArray[np.float64], max_period: int) -> Comb | None:
    """Return the period (2 to `max_period`) and phase whose values rank highest; None if too few can be compared.

    values: one per frame, NaN where a frame cannot be compared. A comb of m teeth is judged by how many of them are
    among the m, or 2 m, highest of all values: exactly hypergeometric when no comb is there. Only ranks count, so
    single extremes such as cuts cannot make a comb. The p-value is corrected by Bonferroni for all combs and depths.
    """
    usable = ~np.isnan(values)
    ranks = np.full(len(values), np.inf)
    ranks[usable] = stats.rankdata(-values[usable], method="ordinal")
    total = int(usable.sum())
    combs = [
        Comb(period, phase, teeth, _p_value(ranks[phase::period], teeth, total))
        for period in range(2, max_period + 1)
        for phase in range(period)
        if (teeth := int(usable[phase::period].sum())) >= MIN_TEETH
    ]
    if not combs:
        return None
    best = min(combs, key=lambda comb: comb.p_value)
    return replace(best, p_value=min(1.0, best.p_value * len(combs) * len(DEPTHS)))


def _p_value(ranks: NDArray[np.float64], teeth: int, total: int) -> float:
    depths = [depth * teeth for depth in DEPTHS if depth * teeth < total]
    chances = [stats.hypergeom.sf(int((ranks <= depth).sum()) - 1, total, depth, teeth) for depth in depths]
    return float(min(chances, default=1.0))
