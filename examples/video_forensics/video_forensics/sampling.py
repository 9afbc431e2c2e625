"""Choose few frames spread over a video, at a cost that does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .media import decoded, decoded_from_here, open_video

DECODED_WHOLE = 750  # frames; longer videos are entered at keyframes instead


def sampled_frames(video: bytes, total: int, wanted: int) -> Iterator[VideoFrame]:
    """Yield at most `wanted` frames spread evenly.

    total: frames of the video. Raises `UnusableVideo`.
    """
    with open_video(video) as (container, stream):
        if total <= DECODED_WHOLE or container.duration is None:
            yield from _every(container, stream, total, wanted)
        else:
            yield from _at_keyframes(container, stream, wanted)


def _every(container: InputContainer, stream: VideoStream, total: int, wanted: int) -> Iterator[VideoFrame]:
    step = max(1.0, min(total, DECODED_WHOLE) / wanted)
    taken = 0
    for index, frame in enumerate(decoded(container, stream)):
        if index >= taken * step:
            yield frame
            taken += 1
        if taken == wanted:
            return


def _at_keyframes(container: InputContainer, stream: VideoStream, wanted: int) -> Iterator[VideoFrame]:
    start, length, last = max(container.start_time, 0), container.duration or 0, -1.0
    for number in range(wanted):
        container.seek(start + length * number // wanted)
        frame = next(decoded_from_here(container, stream), None)
        if frame is not None and frame.pts is not None and frame.time > last:
            last = frame.time
            yield frame
