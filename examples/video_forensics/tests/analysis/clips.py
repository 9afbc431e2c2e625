"""Make clips whose history is known: real pictures, changed and encoded in a known way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from io import BytesIO
from itertools import islice
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from video_forensics import clip

Picture = NDArray[np.uint8]  # yuv420p: (height * 3 / 2, width)

RATE = 25
REALISTIC = {"crf": "23", "preset": "fast"}  # x264's own default quality


def pictures(name: str, size: tuple[int, int] | None = None, height: int | None = None) -> list[Picture]:
    """Decode a shipped clip; scaled to size (width, height), then its middle rows, `height` of them."""
    found = []
    with av.open(str(clip(name))) as container:
        for frame in container.decode(video=0):
            width, tall = size or (frame.width, frame.height)
            found.append(frame.reformat(width, tall, "yuv420p", interpolation="AREA").to_ndarray())
    return [middle_rows(picture, height) for picture in found] if height else found


def middle_rows(picture: Picture, height: int) -> Picture:
    """Return the brightness of the middle rows, without colour."""
    top = (picture.shape[0] * 2 // 3 - height) // 2
    luma = picture[top : top + height]
    return np.vstack([luma, np.full((height // 2, luma.shape[1]), 128, np.uint8)])


def map_luma(frames: Sequence[Picture], change: Callable[[int, NDArray[np.float64]], NDArray[Any]]) -> list[Picture]:
    """Apply `change(index, luma)` to every picture's brightness."""
    changed = []
    for index, picture in enumerate(frames):
        height = picture.shape[0] * 2 // 3
        copy = picture.copy()
        copy[:height] = np.clip(np.round(change(index, picture[:height].astype(np.float64))), 0, 255)
        changed.append(copy)
    return changed


def with_sensor(frames: Sequence[Picture], seed: int, strength: float = 0.02) -> list[Picture]:
    """Multiply each pixel by its own factor, the same in all frames, as a sensor's photo response does."""
    height, width = frames[0].shape[0] * 2 // 3, frames[0].shape[1]
    factor = 1 + strength * np.random.default_rng(seed).standard_normal((height, width))
    return map_luma(frames, lambda _, luma: luma * factor)


def with_flicker(frames: Sequence[Picture], hertz: float, modulation: float, rate: float = RATE) -> list[Picture]:
    """Change the brightness as a lamp of that frequency would, seen at the frames' instants."""
    return map_luma(
        frames, lambda index, luma: luma * (1 + modulation * np.sin(2 * np.pi * hertz * index / rate + 0.3))
    )


def fixed(quantizer: int, gop: int, b_frames: int = 0) -> dict[str, str]:
    """x264 options for a constant quantizer and one GOP distance."""
    return {
        "qp": str(quantizer),
        "g": str(gop),
        "keyint_min": str(gop),
        "sc_threshold": "0",
        "bf": str(b_frames),
        "preset": "fast",
    }


def encode(
    frames: Sequence[Picture],
    options: dict[str, str] | None = None,
    *,
    rate: Fraction | int = RATE,
    container: str = "mp4",
    movflags: str = "",
    tags: dict[str, str] | None = None,
    stream_tags: dict[str, str] | None = None,
    tone: bool = False,
) -> bytes:
    """Encode with x264 as other people would: signed, with their tags, and a tone if asked for."""
    file = BytesIO()
    with av.open(file, "w", format=container, options={"movflags": movflags} if movflags else {}) as output:
        output.metadata.update(tags or {})
        stream = output.add_stream("libx264", rate=rate, options=options or REALISTIC)
        stream.height, stream.width = frames[0].shape[0] * 2 // 3, frames[0].shape[1]
        stream.pix_fmt = "yuv420p"
        stream.metadata.update(stream_tags or {})
        sound = output.add_stream("aac", rate=48000, layout="stereo") if tone else None
        for picture in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        output.mux(stream.encode(None))
        if sound is not None:
            add_tone(output, sound, seconds=len(frames) / float(rate))
    return file.getvalue()


def add_tone(output: OutputContainer, sound: av.AudioStream, seconds: float) -> None:
    """Encode a 440 Hz tone."""
    samples = 0.2 * np.sin(2 * np.pi * 440 * np.arange(int(48000 * seconds)) / 48000)
    for start in range(0, len(samples), 1024):
        part = np.tile(samples[start : start + 1024].astype(np.float32), (2, 1))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, start
        output.mux(sound.encode(frame))
    output.mux(sound.encode(None))


def decode(video: bytes, limit: int | None = None) -> list[Picture]:
    """Return the pictures of an encoded clip."""
    with av.open(BytesIO(video)) as container:
        return [frame.to_ndarray(format="yuv420p") for frame in islice(container.decode(video=0), limit)]


def encoded_twice(frames: Sequence[Picture], first: dict[str, str], second: dict[str, str]) -> bytes:
    """Encode, decode and encode again."""
    return encode(decode(encode(frames, first)), second)
