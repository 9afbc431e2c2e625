"""Find the trace that an earlier encode left in a later one.

Where the earlier encode had an I frame, its coding noise does not continue that of the frames before. Whoever predicts
from those meets more news there, at the earlier encode's GOP distance (Wang and Farid, "Exposing digital forgeries in
video by detecting double MPEG compression", 2006). The news is measured by an encode of our own (`probe.py`), so the
choices of the present encoder do not enter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .combs import Comb, strongest_comb
from .frames import Trace

CODECS = ("h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video")  # whose frame types FFmpeg tells
SIGNIFICANCE = 0.001
SHORTEST_GOP = 6  # shorter periods come from the present encoder's own frame hierarchy or from dropped frames
LONGEST_GOP = 300  # x264's default is 250
PEERS = 12
MIN_PEERS = 4

LIMITS = (
    "Not visible: an earlier encode whose GOPs all start where the present ones do, one much finer than what the "
    "present encode threw away, one with irregular GOPs, or a change of size or frame rate in between. "
    "Frames lost at a regular distance leave the same trace."
)


def reencoding(trace: Trace) -> dict[str, Any]:
    """Report the present encode as read from the file, and the earlier encode if its trace is significant."""
    result: dict[str, Any] = {
        "tested": False,
        "detected": False,
        "earlier_gop": None,
        "present": _present(trace),
        "limits": LIMITS,
    }
    if trace.codec not in CODECS:
        return result | {"reason": f"The frame types of {trace.codec} are not known, so frames cannot be compared."}
    relative = relative_novelty(trace)
    comb = strongest_comb(relative, min(LONGEST_GOP, len(relative) // 4))
    if comb is None:
        return result | {"reason": "The video has too few comparable frames."}
    detected = comb.p_value < SIGNIFICANCE and comb.period >= SHORTEST_GOP
    return result | {
        "tested": True,
        "detected": detected,
        "earlier_gop": comb.period if detected else None,
        "strongest_comb": _comb(comb, relative),
    }


def relative_novelty(trace: Trace) -> NDArray[np.float64]:
    """Return each frame's novelty over the median of its nearest peers: NaN for I frames and those without peers.

    Peers have the same type at the same place in their mini-GOP, since encoders treat frames differently by place.
    """
    roles = _roles(trace.types)
    relative = np.full(len(roles), np.nan)
    for role in set(roles) - {"I"}:
        members = np.array([i for i, other in enumerate(roles) if other == role and trace.novelty[i] > 0])
        for index in members if len(members) > MIN_PEERS else ():
            nearest = np.argsort(np.abs(members - index), kind="stable")[1 : PEERS + 1]
            relative[index] = trace.novelty[index] / np.median(trace.novelty[members[nearest]])
    return relative


def _roles(types: str) -> list[str]:
    # "IBBPBBP" gives I, B0/2, B1/2, P2, B0/2, B1/2, P2.
    roles = list(types)
    run = 0
    for index, kind in enumerate(types):
        if kind == "B":
            run += 1
            continue
        for place in range(run):
            roles[index - run + place] = f"B{place}/{run}"
        roles[index] = "I" if kind == "I" else f"{kind}{run}"
        run = 0
    return roles


def _present(trace: Trace) -> dict[str, Any]:
    starts = [index for index, kind in enumerate(trace.types) if kind == "I"]
    distances = np.diff(starts)
    regular = len(distances) > 0 and bool(np.all(distances == distances[0]))
    predicted = trace.quantizers[np.array([kind == "P" for kind in trace.types])]  # I and B frames get offsets
    shown = predicted[~np.isnan(predicted)]
    return {
        "codec": trace.codec,
        "gop": int(distances[0]) if regular else None,
        "quantizer_of_p_frames": round(float(shown.mean()), 2) if len(shown) else None,
    }


def _comb(comb: Comb, relative: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "period": comb.period,
        "first_frame": comb.phase,
        "frames": comb.teeth,
        "p_value": comb.p_value,
        "median_relative_novelty": round(float(np.nanmedian(relative[comb.phase :: comb.period])), 3),
    }
