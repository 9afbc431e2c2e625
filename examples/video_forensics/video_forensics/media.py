"""Open and decode videos held in memory, with plain errors for what cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import av
import numpy as np
from av.container import InputContainer
from av.error import DecoderNotFoundError, FFmpegError, InvalidDataError, PatchWelcomeError
from av.error import MemoryError as OutOfMemory
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .errors import UnusableVideo

Progress = Callable[[float, str], None]
Luma = NDArray[np.float32]

MAX_BYTES = 512 * 2**20
MAX_SECONDS = 4 * 3600
MAX_PIXELS = 8192 * 4352  # 8K with the padding that encoders add

# A whitelist, because demuxers such as hls and concat follow paths and addresses written inside the file.
CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mp3,wav,flac,aac,aiff"

# What the file is to blame for; FFmpeg's other errors may be ours or the machine's.
UNREADABLE = (InvalidDataError, DecoderNotFoundError, PatchWelcomeError)

NOT_A_VIDEO = (
    "This file is not a video that can be read: it is damaged, incomplete, or no video at all. "
    "Upload the whole original file as MP4, MOV, MKV, WebM, AVI or MPEG-TS."
)
TRUNCATED = (
    "This video is incomplete: its header announces more than the file holds. "
    "It was probably cut off while copying; upload the whole file again."
)
NO_FRAMES = "This video has no picture that can be decoded. Export it again from the original and upload that."
AUDIO_ONLY = "This file has sound but no moving picture. Upload the video itself."
NO_PICTURE = "This file has no video stream. Upload a file with moving pictures."


def no_progress(share: float, message: str) -> None:
    """Ignore progress, for callers that want none."""


@contextmanager
def open_video(video: bytes) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the bytes and yield the container with its first real video stream.

    Raises `UnusableVideo`, also for what FFmpeg finds wrong with the file inside the block.
    """
    if len(video) > MAX_BYTES:
        raise UnusableVideo(
            f"This video has {len(video) / 2**20:,.0f} MiB; at most {MAX_BYTES // 2**20} MiB can be analysed. "
            "Upload a shorter part, cut without re-encoding."
        )
    try:
        with _open(video) as container:
            stream = _video_stream(container)
            _check_size(container, stream)
            yield container, stream
    except UNREADABLE as error:
        raise UnusableVideo(NOT_A_VIDEO) from error


def _open(video: bytes) -> InputContainer:
    try:
        return av.open(BytesIO(video), "r", options={"format_whitelist": CONTAINERS}, metadata_errors="replace")
    except OutOfMemory:
        raise
    except FFmpegError as error:
        raise UnusableVideo(NOT_A_VIDEO) from error


def _video_stream(container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise UnusableVideo(AUDIO_ONLY if container.streams.audio else NO_PICTURE)


def _check_size(container: InputContainer, stream: VideoStream) -> None:
    pixels = stream.codec_context.width * stream.codec_context.height
    if pixels > MAX_PIXELS:
        raise UnusableVideo(
            f"The picture is {stream.codec_context.width} x {stream.codec_context.height}; at most "
            f"{MAX_PIXELS:,} pixels can be analysed. Upload a version of 8K or less."
        )
    if pixels == 0:
        raise UnusableVideo(NO_FRAMES)
    if container.duration is not None:
        check_duration(container.duration / av.time_base)


def check_duration(seconds: float) -> None:
    """Raise `UnusableVideo` if the video is longer than `MAX_SECONDS`."""
    if seconds > MAX_SECONDS:
        raise UnusableVideo(
            f"This video lasts {seconds / 3600:.1f} h; at most {MAX_SECONDS // 3600} h can be analysed. "
            "Upload a shorter part, cut without re-encoding."
        )


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decode in display order, passing over packets that cannot be decoded.

    Raises `UnusableVideo` when not one frame comes out.
    """
    empty = True
    for frame in decoded_from_here(container, stream):
        empty = False
        yield frame
    if empty:
        raise UnusableVideo(NO_FRAMES)


def decoded_from_here(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decode what follows, possibly nothing, passing over packets that cannot be decoded."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except InvalidDataError:
            continue


def luma(frame: VideoFrame) -> Luma:
    """Return the frame's brightness, (height, width), 0 to 255."""
    return np.asarray(frame.to_ndarray(format="gray"), dtype=np.float32)


def frame_rate(stream: VideoStream) -> float:
    """Return frames per second; 25 when the file does not say."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else 25.0
