from __future__ import annotations

import pytest

from video_forensics import clip, metadata_extraction

from .clips import Picture, encode, fixed


def test_shipped_clip_is_described() -> None:
    found = metadata_extraction(clip("bigbuckbunny.mp4").read_bytes())
    video = found["video"]
    assert (video["codec"], video["width"], video["height"]) == ("h264", 1280, 720)
    assert (video["frames"], video["frames_per_second"]) == (132, 25.0)
    assert found["container"]["duration_seconds"] == pytest.approx(5.312)
    assert found["audio"][0]["codec"] == "aac"
    assert found["tags"]["software"] == [{"where": "container", "key": "encoder", "value": "Lavf53.24.2"}]
    assert found["timing"]["constant"]


def test_encoder_signature_in_the_coded_data_is_read() -> None:
    (signature,) = metadata_extraction(clip("bikes.mp4").read_bytes())["encoder_signatures"]
    assert signature.startswith("x264 - core 148 r2708")


def test_keyframe_distances_are_those_of_the_encode(carphone: list[Picture]) -> None:
    gop = metadata_extraction(encode(carphone, fixed(24, 25, b_frames=2)))["gop"]
    assert gop["distances"] == [25, 25, 25, 25]
    assert gop["regular"]
    assert gop["first_types"][::25] == "IIIII"
    assert "B" in gop["first_types"]


def test_apple_tags_are_sorted_by_what_they_tell(carphone: list[Picture]) -> None:
    tags = {
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 12",
        "com.apple.quicktime.software": "17.1",
        "com.apple.quicktime.creationdate": "2023-05-06T07:08:09-0300",
        "com.apple.quicktime.location.ISO6709": "-23.5505+046.6333+760/",
        "comment": "beach",
    }
    found = metadata_extraction(encode(carphone[:10], movflags="use_metadata_tags", tags=tags))["tags"]
    assert [tag["value"] for tag in found["devices"]] == ["Apple", "iPhone 12"]
    assert [tag["key"] for tag in found["dates"]] == ["com.apple.quicktime.creationdate"]
    assert (found["places"][0]["latitude"], found["places"][0]["longitude"]) == (-23.5505, 46.6333)
    assert [tag["value"] for tag in found["other"]] == ["beach"]
    assert "17.1" in [tag["value"] for tag in found["software"]]


def test_huge_tags_are_cut(carphone: list[Picture]) -> None:
    found = metadata_extraction(encode(carphone[:5], tags={"comment": "a" * 100_000}))
    assert [len(tag["value"]) for tag in found["tags"]["other"]] == [200]
