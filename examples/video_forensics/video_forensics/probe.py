"""Measure how much new information each frame brings, by encoding it again at a fixed fine quantizer."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .media import Luma

MAX_SIDE = 640  # pixels: bounds the time per frame whatever the video's size
MACROBLOCK = 16

# One I frame, then P frames that refer to the frame before only: sizes differ by content and by nothing else.
# Weighted prediction keeps changes of brightness out of them.
OPTIONS = {
    "qp": "16",
    "g": "100000",
    "bf": "0",
    "sc_threshold": "0",
    "preset": "veryfast",
    "tune": "zerolatency",
    "x264-params": "ref=1:weightp=2",
}


class Probe:
    """A P-only encode of the picture's centre, of which only the frame sizes are kept."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.sizes: list[float] = []
        self._rows, self._columns = (_centre(side) for side in shape)
        self._output = BytesIO()
        self._container: OutputContainer = av.open(self._output, "w", format="h264")
        self._stream: VideoStream = self._container.add_stream("libx264", rate=25, options=OPTIONS)
        self._stream.height = self._rows.stop - self._rows.start
        self._stream.width = self._columns.stop - self._columns.start
        self._stream.pix_fmt = "yuv420p"

    def add(self, picture: Luma) -> None:
        """Encode one more frame, (height, width), 0 to 255. A frame of another size than the first counts NaN."""
        if picture.shape != self.shape:
            self.sizes.append(np.nan)
            return
        pixels = np.ascontiguousarray(picture[self._rows, self._columns].astype(np.uint8))
        frame = VideoFrame.from_ndarray(pixels, format="gray").reformat(format="yuv420p")
        frame.pts = len(self.sizes)
        frame.time_base = Fraction(1, 25)
        self.sizes.append(float(sum(packet.size for packet in self._stream.encode(frame))))


def _centre(side: int) -> slice:
    kept = min(MAX_SIDE, side)
    start = (side - kept) // 2 // MACROBLOCK * MACROBLOCK
    return slice(start, start + kept // 2 * 2)
