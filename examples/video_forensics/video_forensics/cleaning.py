"""Step 6: the same pictures and sound in a new file that says nothing about its origin."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from io import BytesIO
from typing import Any, NamedTuple

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer
from av.error import InvalidDataError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from .classification import ORIGIN_TAGS
from .media import Progress, frame_rate, no_progress, open_video
from .metadata import metadata_extraction

ENCODER = {"crf": "18", "preset": "veryfast"}  # visually close to the source, and 720p at several times real time
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
# H.264 unit type 6: supplemental information, where x264 signs with its settings.
WITHOUT_SIGNATURES = "filter_units=remove_types=6"

REMAINING = (
    "Cleaning removes what the file says, not what the pictures show: the sensor's noise pattern, flicker and traces "
    "of earlier encodes can survive it, and the file's structure shows that a program wrote it."
)


class Cleaning(NamedTuple):
    """`result` is JSON; `video` is the clean file, MP4 with H.264 and AAC."""

    result: dict[str, Any]
    video: bytes


def cleaning(video: bytes, metadata: dict[str, Any], progress: Progress = no_progress) -> Cleaning:
    """Encode pictures and sound anew, without tags, dates, places, chapters, other streams or encoder signatures.

    metadata: the result of `metadata_extraction`. The clean file is parsed again and what was found is reported.
    Raises `UnusableVideo`, and RuntimeError if a tag of origin were left.
    """
    progress(0.0, "Encoding without metadata")
    output = BytesIO()
    options = {"fflags": "+bitexact"}
    with av.open(output, "w", format="mp4", options=options) as target, open_video(video) as (source, stream):
        _Encoder(source, stream, target, metadata["video"]).run(progress)
    clean = output.getvalue()
    after = metadata_extraction(clean)
    left = [tag for kind in ORIGIN_TAGS for tag in after["tags"][kind]] + after["encoder_signatures"]
    if left:
        raise RuntimeError(f"The cleaned video still names its origin: {left}. Report this with the file's format.")
    progress(1.0, "Clean video ready")
    return Cleaning(_result(clean, metadata, after), clean)


def _result(clean: bytes, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    removed = [tag for kind in ORIGIN_TAGS for tag in before["tags"][kind]]
    return {
        "bytes": len(clean),
        "sha256": hashlib.sha256(clean).hexdigest(),
        "frames_before": before["video"]["frames"],
        "frames": after["video"]["frames"],
        "removed": {
            "tags": [{"where": tag["where"], "key": tag["key"]} for tag in removed],
            "encoder_signatures": len(before["encoder_signatures"]),
            "other_streams": len(before["other_streams"]),
            "chapters": before["chapters"],
        },
        "remaining": REMAINING,
    }


class _Encoder:
    def __init__(
        self, source: InputContainer, stream: VideoStream, target: OutputContainer, video: dict[str, Any]
    ) -> None:
        self.source, self.stream, self.target = source, stream, target
        self.expected = max(1, video["frames"])
        self.frames = 0
        self.last_pts = -1
        self.picture = self._picture(video)
        self.sounds = {audio.index: self._sound(audio) for audio in source.streams.audio}
        target.start_encoding()
        self.unsign = BitStreamFilterContext(WITHOUT_SIGNATURES, self.picture, self.picture)

    def run(self, progress: Progress) -> None:
        for packet in self.source.demux(self.stream, *self.source.streams.audio):
            for frame in _decode(packet):
                if isinstance(frame, AudioFrame):
                    self._add_sound(packet.stream_index, frame)
                elif isinstance(frame, VideoFrame):
                    self._add_picture(frame)
                    if self.frames % 25 == 0:
                        share = min(0.95, self.frames / self.expected)
                        progress(share, f"{self.frames} of {self.expected} frames encoded")
        self._mux_picture(self.picture.encode(None))
        self.target.mux(self.unsign.filter(None))
        for resampler, sound in self.sounds.values():
            for rest in resampler.resample(None):
                self.target.mux(sound.encode(rest))
            self.target.mux(sound.encode(None))

    def _picture(self, video: dict[str, Any]) -> VideoStream:
        rate = Fraction(frame_rate(self.stream)).limit_denominator(1001)
        picture = self.target.add_stream("libx264", rate=rate, options=ENCODER)
        picture.width = max(2, self.stream.codec_context.width // 2 * 2)
        picture.height = max(2, self.stream.codec_context.height // 2 * 2)
        picture.pix_fmt = "yuv420p"
        context, source = picture.codec_context, self.stream.codec_context
        context.flags |= Flags.bitexact
        context.time_base = self.stream.time_base or 1 / rate
        if source.sample_aspect_ratio:
            context.sample_aspect_ratio = source.sample_aspect_ratio
        context.color_range, context.colorspace = source.color_range, source.colorspace
        context.color_primaries, context.color_trc = source.color_primaries, source.color_trc
        if video["rotation_degrees"]:
            picture.set_display_rotation(video["rotation_degrees"])
        return picture

    def _sound(self, audio: AudioStream) -> tuple[AudioResampler, AudioStream]:
        rate = audio.codec_context.sample_rate
        rate = rate if rate in AAC_RATES else 48000
        sound = self.target.add_stream("aac", rate=rate, layout=audio.codec_context.layout.name)
        sound.codec_context.flags |= Flags.bitexact
        return AudioResampler("fltp", audio.codec_context.layout.name, rate), sound

    def _add_picture(self, frame: VideoFrame) -> None:
        pts = self.last_pts + 1 if frame.pts is None else max(frame.pts, self.last_pts + 1)
        plain = frame.reformat(self.picture.width, self.picture.height, "yuv420p")
        plain.pts, plain.time_base = pts, self.picture.codec_context.time_base
        plain.pict_type = PictureType.NONE  # or the encoder would copy the source's choice of keyframes
        self.last_pts = pts
        self.frames += 1
        self._mux_picture(self.picture.encode(plain))

    def _mux_picture(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            self.target.mux(self.unsign.filter(packet))

    def _add_sound(self, index: int, frame: AudioFrame) -> None:
        resampler, sound = self.sounds[index]
        for part in resampler.resample(frame):
            self.target.mux(sound.encode(part))


def _decode(packet: Packet[Stream]) -> list[Any]:
    try:
        return list(packet.decode())
    except InvalidDataError:
        return []
