"""Describe the distances between keyframes and between pictures."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from .frames import picture_type
from .media import decoded

LISTED = 200
TYPES_SHOWN = 120


def gop_structure(keyframes: list[int], packets: int) -> dict[str, Any]:
    """Return keyframe distances in coded order. keyframes: their indices among `packets` frames."""
    distances = [int(distance) for distance in np.diff(keyframes)]
    return {
        "keyframes": len(keyframes),
        "frames": packets,
        "distances": distances[:LISTED],
        "smallest": min(distances, default=None),
        "median": float(np.median(distances)) if distances else None,
        "largest": max(distances, default=None),
        "regular": len(set(distances)) == 1,
    }


def timing(times: list[float]) -> dict[str, Any]:
    """Return whether pictures follow at one distance. times: seconds, in any order."""
    steps = np.diff(np.sort(np.array(times)))
    if len(steps) == 0:
        return {"constant": True, "irregular_intervals": 0}
    # A container's clock may round: half a millisecond off is no irregularity.
    irregular = int(np.sum(np.abs(steps - np.median(steps)) > np.maximum(0.001, 0.05 * np.median(steps))))
    return {"constant": irregular == 0, "irregular_intervals": irregular}


def first_pictures(container: InputContainer, stream: VideoStream) -> tuple[str, int]:
    """Return the types (I, P, B) of the first pictures in display order, and the rotation in degrees to show them.

    Raises `UnusableVideo` if not one can be decoded.
    """
    shown = [(picture_type(frame), frame.rotation) for frame in islice(decoded(container, stream), TYPES_SHOWN)]
    return "".join(kind for kind, _ in shown), shown[0][1]
