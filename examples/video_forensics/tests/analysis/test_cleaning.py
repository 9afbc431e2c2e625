from __future__ import annotations

from io import BytesIO
from typing import Any

import av
import pytest

from video_forensics import Cleaning, classification, cleaning, clip, fft, metadata_extraction, prnu
from video_forensics.classification import ORIGIN_TAGS

from .clips import Picture, decode, encode, fixed

TAGS = {
    "creation_time": "2023-05-06T07:08:09.000000Z",
    "location": "-23.5505-046.6333/",
    "location-eng": "-23.5505-046.6333/",
    "com.apple.quicktime.make": "Fruitmaker",
    "com.apple.quicktime.model": "FruitPhone 12",
    "com.apple.quicktime.location.ISO6709": "-23.5505-046.6333+760/",
    "com.apple.quicktime.creationdate": "2023-05-06T04:08:09-0300",
    "encoder": "SomeEditor 4.2",
    "comment": "holiday at the beach",
    "artist": "Maria",
}
STREAM_TAGS = {
    "handler_name": "FruitCore Media Video",
    "encoder": "FruitEncoder H.264",
    "creation_time": "2023-05-06T07:08:09.000000Z",
    "comment": "stream remark",
}
FORMATS = [("mp4", "use_metadata_tags"), ("mov", ""), ("mov", "use_metadata_tags"), ("matroska", "")]


def cleaned(video: bytes) -> tuple[dict[str, Any], Cleaning]:
    before = metadata_extraction(video)
    return before, cleaning(video, before)


@pytest.mark.parametrize(("container", "movflags"), FORMATS)
def test_no_injected_tag_is_left(carphone: list[Picture], container: str, movflags: str) -> None:
    dirty = encode(carphone[:50], container=container, movflags=movflags, tags=TAGS, stream_tags=STREAM_TAGS, tone=True)
    before, after = cleaned(dirty)
    written = [value.encode() for value in (*TAGS.values(), *STREAM_TAGS.values()) if value.encode() in dirty]
    assert len(written) >= 2
    assert before["tags"]["places"]
    assert before["tags"]["dates"]
    assert [value for value in written if value in after.video] == []
    for mark in (b"Lavf", b"Lavc", b"x264", b"Fruit", b"-23.55", b"2023-05"):
        assert mark not in after.video
    assert allowed_tags_only(after.video)
    assert {tag["key"] for tag in after.result["removed"]["tags"]} >= {"creation_time"}


def allowed_tags_only(video: bytes) -> bool:
    allowed = {"major_brand", "minor_version", "compatible_brands", "language", "handler_name", "vendor_id"}
    with av.open(BytesIO(video)) as container:
        tags = [container.metadata, *(stream.metadata for stream in container.streams)]
        handlers = {found["handler_name"] for found in tags if "handler_name" in found}
        return set().union(*tags) <= allowed and handlers <= {"VideoHandler", "SoundHandler"}


def test_encoder_settings_in_the_coded_data_are_gone(carphone: list[Picture]) -> None:
    dirty = encode(carphone, tone=True)
    assert b"x264 - core" in dirty
    assert b"Lavc" in dirty
    before, after = cleaned(dirty)
    assert before["encoder_signatures"]
    assert b"x264" not in after.video
    assert b"Lavc" not in after.video
    assert metadata_extraction(after.video)["encoder_signatures"] == []


def test_shipped_clip_keeps_pictures_sound_and_length() -> None:
    before, after = cleaned(clip("bigbuckbunny.mp4").read_bytes())
    clean = metadata_extraction(after.video)
    assert len(decode(after.video)) == before["video"]["frames"] == after.result["frames"]
    assert (clean["video"]["width"], clean["video"]["height"]) == (before["video"]["width"], before["video"]["height"])
    assert [audio["channels"] for audio in clean["audio"]] == [audio["channels"] for audio in before["audio"]]
    seconds = before["container"]["duration_seconds"]
    assert clean["container"]["duration_seconds"] == pytest.approx(seconds, abs=0.1)


def test_pictures_look_the_same(carphone: list[Picture]) -> None:
    dirty = encode(carphone)
    _, after = cleaned(dirty)
    for one, other in zip(decode(dirty), decode(after.video), strict=True):
        assert abs(one.astype(int) - other.astype(int)).mean() < 3


def test_source_keyframe_distance_is_not_copied(carphone: list[Picture]) -> None:
    before, after = cleaned(encode(carphone, fixed(24, 7)))
    assert before["gop"]["median"] == 7
    assert metadata_extraction(after.video)["gop"]["keyframes"] == 1


def test_cleaned_video_is_classified_as_stripped_and_the_source_is_not(carphone: list[Picture]) -> None:
    dirty = encode(carphone, movflags="use_metadata_tags", tags=TAGS)
    before, after = cleaned(dirty)
    assert {"written_by_software", "names_device"} <= set(found_classes(dirty, before))
    assert "stripped" not in found_classes(dirty, before)
    names = found_classes(after.video, metadata_extraction(after.video))
    assert "stripped" in names
    assert not {"written_by_software", "names_device"} & set(names)


def found_classes(video: bytes, metadata: dict[str, Any]) -> list[str]:
    found: list[str] = classification(metadata, prnu(video, metadata).result, fft(video, metadata))["found"]
    return found


def test_every_kind_of_origin_tag_is_empty_after_cleaning(carphone: list[Picture]) -> None:
    _, after = cleaned(encode(carphone[:20], tags=TAGS))
    tags = metadata_extraction(after.video)["tags"]
    assert {kind: tags[kind] for kind in ORIGIN_TAGS} == {kind: [] for kind in ORIGIN_TAGS}


def test_rotation_for_display_is_kept(carphone: list[Picture]) -> None:
    file = BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 176, 144, "yuv420p"
        stream.set_display_rotation(90)
        for picture in carphone[:10]:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        output.mux(stream.encode(None))
    before, after = cleaned(file.getvalue())
    assert abs(before["video"]["rotation_degrees"]) == 90
    assert metadata_extraction(after.video)["video"]["rotation_degrees"] == before["video"]["rotation_degrees"]
