"""Step 1: what the file says about itself, and whether the whole of it is there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from .errors import UnusableVideo
from .gop import first_pictures, gop_structure, timing
from .media import NO_FRAMES, TRUNCATED, Progress, check_duration, frame_rate, no_progress, open_video
from .tags import sort_tags

MAX_PACKETS = 1_000_000  # of all streams; 4 h of video and sound have about as many
SEARCHED_PACKETS = 3  # of each stream, where encoders sign

# Containers whose header holds the duration; for others FFmpeg estimates it from what is there.
ANNOUNCING = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv", "asf")

# What encoders write into the coded data itself, outside any tag.
SIGNATURE = re.compile(rb"(?:x264 - core|x265 \(build|Lavc\d|LAME\d|libVorbis|Xvid)[\x20-\x7e]{0,600}")


@dataclass
class Survey:
    """What one pass over the packets found."""

    frames: int = 0
    keyframes: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    video_bytes: int = 0
    first: float = float("inf")
    last: float = 0.0
    packets: dict[int, int] = field(default_factory=dict)
    signatures: list[str] = field(default_factory=list)
    whole: bool = True


def metadata_extraction(video: bytes, progress: Progress = no_progress) -> dict[str, Any]:
    """Read container, streams, tags, encoder signatures, GOP structure, and check that the file is whole.

    Raises `UnusableVideo` with a plain message for a file that cannot be analysed.
    """
    progress(0.0, "Reading the file")
    with open_video(video) as (container, stream):
        survey = _survey(container, stream)
        _check_whole(container, stream, survey)
        result: dict[str, Any] = {
            "file": {"bytes": len(video), "sha256": hashlib.sha256(video).hexdigest()},
            "container": _container(container),
            "video": _video(stream, survey),
            "audio": [_audio(audio) for audio in container.streams.audio],
            "other_streams": [_other(other) for other in container.streams if other.type not in ("video", "audio")],
            "chapters": len(container.chapters()),
            "tags": sort_tags(_tags(container)),
            "encoder_signatures": survey.signatures,
            "gop": gop_structure(survey.keyframes, survey.frames),
            "timing": timing(survey.times),
            "whole_file_read": survey.whole,
        }
    progress(0.7, "Decoding the first frames")
    with open_video(video) as (container, stream):
        types, rotation = first_pictures(container, stream)
    result["gop"] |= {"first_types": types}
    result["video"] |= {"rotation_degrees": rotation}
    progress(1.0, "Metadata read")
    return result


def _survey(container: InputContainer, stream: VideoStream) -> Survey:
    survey = Survey()
    for each in container.streams:
        _search(each.codec_context.extradata if each.type in ("video", "audio") else None, survey)
    for count, packet in enumerate(_packets(container)):
        if count == MAX_PACKETS:
            survey.whole = False
            break
        _note(packet, stream, survey)
    return survey


def _packets(container: InputContainer) -> Iterator[Packet[Stream]]:
    return (packet for packet in container.demux() if packet.size)


def _note(packet: Packet[Stream], stream: VideoStream, survey: Survey) -> None:
    index = int(packet.stream_index)
    seen = survey.packets[index] = survey.packets.get(index, 0) + 1
    if seen <= SEARCHED_PACKETS:
        _search(bytes(packet), survey)
    start = packet.pts if packet.pts is not None else packet.dts
    if start is not None:
        time = float(start * packet.time_base)
        survey.first = min(survey.first, time)
        survey.last = max(survey.last, time + float((packet.duration or 0) * packet.time_base))
        if index == stream.index:
            survey.times.append(time)
    if index == stream.index:
        if packet.is_keyframe:
            survey.keyframes.append(survey.frames)
        survey.frames += 1
        survey.video_bytes += packet.size


def _search(data: bytes | None, survey: Survey) -> None:
    for found in SIGNATURE.findall(data or b""):
        text = found.decode("ascii")
        if text not in survey.signatures:
            survey.signatures.append(text)


def _check_whole(container: InputContainer, stream: VideoStream, survey: Survey) -> None:
    if survey.frames == 0:
        raise UnusableVideo(TRUNCATED if stream.frames else NO_FRAMES)
    check_duration(survey.last - survey.first)
    if not survey.whole:
        return
    for each in (*container.streams.video, *container.streams.audio):
        if survey.packets.get(each.index, 0) < 0.99 * each.frames:
            raise UnusableVideo(TRUNCATED)
    announced = (container.duration or 0) / av.time_base if container.format.name in ANNOUNCING else 0
    if survey.last - survey.first < 0.98 * announced - 0.25:
        raise UnusableVideo(TRUNCATED)


def _container(container: InputContainer) -> dict[str, Any]:
    seconds = container.duration / av.time_base if container.duration is not None else None
    return {
        "format": container.format.name,
        "description": container.format.long_name,
        "duration_seconds": seconds,
        "bit_rate": container.bit_rate or None,
        "major_brand": container.metadata.get("major_brand"),
        "compatible_brands": container.metadata.get("compatible_brands"),
    }


def _video(stream: VideoStream, survey: Survey) -> dict[str, Any]:
    rate = frame_rate(stream)
    seconds = survey.frames / rate
    context = stream.codec_context
    return {
        "codec": context.name,
        "profile": stream.profile,
        "level": context.level,
        "width": context.width,
        "height": context.height,
        "pixel_format": context.pix_fmt,
        "frames": survey.frames,
        "frames_per_second": round(rate, 5),
        "duration_seconds": round(seconds, 3),
        "bit_rate": round(survey.video_bytes * 8 / seconds),
        "colour": {
            "range": int(context.color_range),
            "primaries": int(context.color_primaries),
            "transfer": int(context.color_trc),
            "matrix": int(context.colorspace),
        },
    }


def _audio(stream: AudioStream) -> dict[str, Any]:
    context = stream.codec_context
    return {
        "codec": context.name,
        "sample_rate": context.sample_rate,
        "channels": context.channels,
        "bit_rate": context.bit_rate or None,
    }


def _other(stream: Stream) -> dict[str, Any]:
    return {"index": stream.index, "type": stream.type}


def _tags(container: InputContainer) -> dict[str, dict[str, str]]:
    found = {"container": dict(container.metadata)}
    for stream in container.streams:
        found[f"stream {stream.index} ({stream.type})"] = dict(stream.metadata)
    for chapter in container.chapters():
        found[f"chapter {chapter['id']}"] = dict(chapter["metadata"])
    return found
