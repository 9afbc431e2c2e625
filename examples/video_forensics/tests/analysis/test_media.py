from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from video_forensics import UnusableVideo, cleaning, clip, fft, metadata_extraction, prnu
from video_forensics.media import MAX_BYTES

from .clips import Picture, add_tone, encode


def refused(video: bytes) -> str:
    with pytest.raises(UnusableVideo) as caught:
        metadata_extraction(video)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"This is a letter, not a film.\n" * 100, bytes(range(256)) * 64, b"\x89PNG\r\n\x1a\n" + bytes(64)],
    ids=["empty", "text", "bytes", "picture"],
)
def test_what_is_no_video_is_named_so(content: bytes) -> None:
    assert "not a video that can be read" in refused(content)


@pytest.mark.parametrize("kind", ["hls", "concat"])
def test_playlists_that_point_to_other_files_are_not_followed(kind: str) -> None:
    target = clip("bikes.mp4")
    playlist = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target.as_uri()}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {target}\n",
    }
    assert "not a video that can be read" in refused(playlist[kind].encode())


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("container", ["mp4", "matroska", "faststart"])
def test_truncated_video_is_refused(carphone: list[Picture], share: float, container: str, tmp_path: Path) -> None:
    video = faststart(carphone, tmp_path) if container == "faststart" else encode(carphone, container=container)
    message = refused(video[: int(len(video) * share)])
    assert "whole" in message
    assert "pload" in message
    if container != "mp4":
        assert "incomplete: its header announces more" in message


def test_mp4_that_lacks_a_few_frames_is_refused(carphone: list[Picture], tmp_path: Path) -> None:
    video = faststart(carphone, tmp_path)
    assert "incomplete: its header announces more" in refused(video[: int(len(video) * 0.97)])


def faststart(frames: list[Picture], folder: Path) -> bytes:
    """An MP4 whose index stands first, so that what is left of it still opens."""
    path = folder / "faststart.mp4"
    with (
        av.open(BytesIO(encode(frames))) as source,
        av.open(str(path), "w", options={"movflags": "+faststart"}) as target,
    ):
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("container", "options"), [("mp4", {"movflags": "frag_keyframe+empty_moov"}), ("matroska", {})]
)
def test_video_stream_without_frames_is_refused(container: str, options: dict[str, str]) -> None:
    file = BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        video = output.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        add_tone(output, output.add_stream("aac", rate=48000, layout="stereo"), seconds=1)
    assert "no picture that can be decoded" in refused(file.getvalue())


def test_pictures_that_cannot_be_decoded_are_refused(carphone: list[Picture]) -> None:
    video = bytearray(encode(carphone, container="mp4"))
    start = video.index(b"mdat") + 4
    video[start : video.rindex(b"moov") - 4] = bytes(video.rindex(b"moov") - 4 - start)
    assert "no picture that can be decoded" in refused(bytes(video))


def test_sound_alone_is_refused() -> None:
    file = BytesIO()
    with av.open(file, "w", format="mp4") as output:
        add_tone(output, output.add_stream("aac", rate=48000, layout="stereo"), seconds=1)
    assert "sound but no moving picture" in refused(file.getvalue())


def test_too_many_bytes_are_refused() -> None:
    message = refused(bytes(MAX_BYTES + 1))
    assert "512 MiB" in message
    assert "shorter part" in message


def test_too_many_hours_are_refused(carphone: list[Picture]) -> None:
    file = BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 176, 144, "yuv420p"
        for picture, pts in zip(carphone, (0, 25 * 3600 * 5), strict=False):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = pts
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert "at most 4 h" in refused(file.getvalue())


def test_too_many_pixels_are_refused() -> None:
    file = BytesIO()
    with av.open(file, "w", format="mov") as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 8192, 4368, "yuvj420p"
        blank = np.full((4368 * 3 // 2, 8192), 128, np.uint8)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(blank, format="yuvj420p")))
        output.mux(stream.encode(None))
    assert "8192 x 4368" in refused(file.getvalue())


def test_every_step_refuses_what_is_no_video(carphone: list[Picture]) -> None:
    metadata = metadata_extraction(encode(carphone[:30]))
    for step in (prnu, fft, cleaning):
        with pytest.raises(UnusableVideo):
            step(b"not a video", metadata)  # type: ignore[operator]


def test_unusable_video_is_a_value_error() -> None:
    assert issubclass(UnusableVideo, ValueError)
