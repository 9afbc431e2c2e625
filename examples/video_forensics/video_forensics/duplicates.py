"""Find repeated frames, and the regular ones that a conversion to a higher frame rate leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .combs import strongest_comb
from .frames import Trace

SIGNIFICANCE = 0.001
SAME = 0.2  # of the usual change around it: an encoder rarely repeats a frame to the last bit
NEIGHBOURS = 8  # frames on each side that say what is usual
REGULAR = 0.8  # of the frames at the period must be repeats
LISTED = 100

LIMITS = "Conversions that blend or interpolate frames repeat none and are not seen; nor are repeats in a still scene."


def duplicates(trace: Trace) -> dict[str, Any]:
    """Report repeated frames; with a significant period, the frame rate before conversion."""
    relative = _relative_change(trace.change)
    repeats = np.flatnonzero(relative < SAME)
    comb = strongest_comb(-relative, len(relative) // 4)
    share = 0.0
    if comb is not None:
        share = float(np.nanmean(relative[comb.phase :: comb.period] < SAME))
    regular = comb is not None and comb.p_value < SIGNIFICANCE and share >= REGULAR
    period = comb.period if comb is not None and regular else None
    before = round(trace.frames_per_second * (1 - 1 / period), 3) if period else None
    return {
        "tested": comb is not None,
        "detected": regular,
        "count": len(repeats),
        "frames": [int(index) for index in repeats[:LISTED]],
        "period": period,
        "p_value": comb.p_value if comb is not None else None,
        "frames_per_second_before": before,
        "limits": LIMITS,
    }


def _relative_change(change: NDArray[np.float64]) -> NDArray[np.float64]:
    usual = np.full(len(change), np.nan)
    for index in range(1, len(change)):
        around = change[max(1, index - NEIGHBOURS) : index + NEIGHBOURS + 1]
        usual[index] = np.nanmedian(around)
    usual[usual == 0] = np.nan
    return np.asarray(change / usual, dtype=np.float64)
