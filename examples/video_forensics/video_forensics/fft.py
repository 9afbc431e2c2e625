"""Step 3: what the frames' sequence in time tells: flicker, frame-rate conversion, an earlier encode."""

from __future__ import annotations

from typing import Any

from .duplicates import duplicates
from .flicker import flicker
from .frames import MAX_FRAMES, trace
from .media import Progress, no_progress
from .reencoding import reencoding


def fft(video: bytes, metadata: dict[str, Any], progress: Progress = no_progress) -> dict[str, Any]:
    """Analyse up to `MAX_FRAMES` frames from the start.

    metadata: the result of `metadata_extraction`. Each of `flicker`, `duplicates` and `reencoding` has `tested`,
    `detected` and its `limits`. Raises `UnusableVideo`.
    """
    progress(0.0, "Measuring frames")
    measured = trace(video, lambda share, message: progress(0.9 * share, message))
    frames = len(measured.types)
    total = metadata["video"]["frames"]
    progress(0.9, "Looking for periods")
    result = {
        "frames_analysed": frames,
        "frames_total": total,
        "whole_video": frames < MAX_FRAMES or frames == total,
        "flicker": flicker(measured),
        "duplicates": duplicates(measured),
        "reencoding": reencoding(measured),
    }
    progress(1.0, "Temporal analysis done")
    return result
