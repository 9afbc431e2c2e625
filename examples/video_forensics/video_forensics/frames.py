"""One pass over the frames, keeping the numbers that the temporal analyses need and no pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from av.sidedata.encparams import VideoEncParams
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

from .media import Luma, Progress, decoded, frame_rate, luma, no_progress, open_video
from .probe import Probe

MAX_FRAMES = 750  # 30 s at 25 frames/s: many periods of anything that matters, and bounded time


@dataclass(frozen=True)
class Trace:
    """Numbers per frame, in display order; all arrays have the length of `types`.

    `brightness`: mean of the picture, 0 to 255. `change`: mean absolute difference to the frame before (NaN for the
    first). `novelty`: bytes that the probe encode needs. `quantizers`: mean over its blocks, NaN if not shown.
    """

    frames_per_second: float
    codec: str
    types: str
    brightness: NDArray[np.float64]
    change: NDArray[np.float64]
    novelty: NDArray[np.float64]
    quantizers: NDArray[np.float64]


class Measured(NamedTuple):
    """One frame's part of a `Trace`."""

    type: str
    brightness: float
    change: float
    novelty: float
    quantizer: float


def trace(video: bytes, progress: Progress = no_progress, limit: int = MAX_FRAMES) -> Trace:
    """Decode up to `limit` frames from the start and measure each.

    Raises `UnusableVideo`.
    """
    with open_video(video) as (container, stream):
        stream.codec_context.options = {"export_side_data": "+venc_params"}
        expected = min(limit, stream.frames or limit)
        measured = []
        for each in _measure(islice(decoded(container, stream), limit)):
            measured.append(each)
            if len(measured) % 25 == 0:
                progress(min(1.0, len(measured) / expected), f"{len(measured)} of {expected} frames measured")
        types, *columns = zip(*measured, strict=True)
        rate, codec = frame_rate(stream), stream.codec_context.name
    return Trace(rate, codec, "".join(types), *(np.array(column, dtype=np.float64) for column in columns))


def _measure(frames: Iterator[VideoFrame]) -> Iterator[Measured]:
    before: Luma | None = None
    probe: Probe | None = None
    for frame in frames:
        picture = luma(frame)
        probe = probe or Probe(picture.shape)
        probe.add(picture)
        comparable = before is not None and before.shape == picture.shape
        change = float(np.mean(np.abs(picture - before))) if before is not None and comparable else np.nan
        yield Measured(picture_type(frame), float(picture.mean()), change, probe.sizes[-1], _quantizer(frame))
        before = picture


def picture_type(frame: VideoFrame) -> str:
    """Return I, P or B; ? for codecs that have other kinds of frames."""
    name = PictureType(frame.pict_type).name
    return name if name in ("I", "P", "B") else "?"


def _quantizer(frame: VideoFrame) -> float:
    # FFmpeg exports this for H.264 and MPEG-2 only, and not for every interlaced layout.
    parameters = frame.side_data.get("VIDEO_ENC_PARAMS")
    if not isinstance(parameters, VideoEncParams) or parameters.nb_blocks == 0:
        return np.nan
    try:
        return float(parameters.qp_map().mean())
    except (RuntimeError, ValueError):
        return np.nan
