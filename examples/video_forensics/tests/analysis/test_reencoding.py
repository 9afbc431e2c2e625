from __future__ import annotations

import pytest

from video_forensics import clip
from video_forensics.frames import trace
from video_forensics.reencoding import reencoding

from .clips import REALISTIC, Picture, encode, encoded_twice, fixed

Sources = dict[str, list[Picture]]


@pytest.mark.parametrize(
    ("source", "earlier_gop", "earlier_quantizer"),
    [("bunny", 12, 28), ("bikes", 12, 28), ("carphone", 12, 28), ("bunny", 15, 26), ("carphone", 15, 26)],
)
def test_second_encode_of_known_gop_and_quantizer_is_detected(
    sources: Sources, source: str, earlier_gop: int, earlier_quantizer: int
) -> None:
    video = encoded_twice(sources[source], fixed(earlier_quantizer, earlier_gop), fixed(24, 25))
    found = reencoding(trace(video))
    assert found["detected"]
    assert found["earlier_gop"] == earlier_gop
    assert found["present"] == {"codec": "h264", "gop": 25, "quantizer_of_p_frames": 24.0}


@pytest.mark.parametrize("source", ["bunny", "carphone"])
def test_second_encode_with_b_frames_and_rate_control_is_detected(sources: Sources, source: str) -> None:
    video = encoded_twice(sources[source], fixed(28, 12), {"crf": "20", "preset": "fast"})
    found = reencoding(trace(video))
    assert "B" in trace(video).types
    assert found["detected"]
    assert found["earlier_gop"] == 12


@pytest.mark.parametrize("source", ["bunny", "carphone"])
@pytest.mark.parametrize(
    "options", [fixed(24, 25), fixed(20, 12, b_frames=3), REALISTIC, {"b": "300k", "g": "30"}], ids=str
)
def test_single_encode_is_not_taken_for_a_second(sources: Sources, source: str, options: dict[str, str]) -> None:
    found = reencoding(trace(encode(sources[source], options)))
    assert found["tested"]
    assert not found["detected"]
    assert found["earlier_gop"] is None


@pytest.mark.parametrize("name", ["bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4"])
def test_clips_as_shipped_show_no_regular_earlier_encode(name: str) -> None:
    assert not reencoding(trace(clip(name).read_bytes()))["detected"]


def test_few_frames_are_not_judged(carphone: list[Picture]) -> None:
    found = reencoding(trace(encode(carphone[:5])))
    assert not found["tested"]
    assert "too few" in found["reason"]
