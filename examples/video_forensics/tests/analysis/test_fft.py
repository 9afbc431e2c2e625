from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from video_forensics import clip, fft, metadata_extraction
from video_forensics.duplicates import duplicates
from video_forensics.flicker import flicker, mains_alias
from video_forensics.frames import trace

from .clips import RATE, Picture, encode, with_flicker

Sources = dict[str, list[Picture]]
NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize("source", ["bunny", "bikes", "carphone"])
def test_flicker_of_known_frequency_is_found_there(sources: Sources, source: str) -> None:
    video = encode(with_flicker(sources[source], hertz=6.3, modulation=0.02))
    found = flicker(trace(video))
    assert [line["frequency_hz"] for line in found["lines"]] == [pytest.approx(6.3, abs=found["resolution_hz"])]
    assert found["lines"][0]["modulation"] == pytest.approx(0.02, rel=0.25)


@pytest.mark.parametrize("source", ["bunny", "bikes", "carphone"])
def test_no_flicker_is_found_in_the_original(sources: Sources, source: str) -> None:
    found = flicker(trace(encode(sources[source])))
    assert found["tested"]
    assert found["lines"] == []


def test_shaking_camera_is_not_taken_for_flicker() -> None:
    shaking = trace(clip("carphone_pristine.mp4").read_bytes())
    excerpts = [
        replace(shaking, types=shaking.types[start : start + 60], brightness=shaking.brightness[start : start + 60])
        for start in range(0, 60, 4)
    ]
    assert [excerpt for excerpt in excerpts if flicker(excerpt)["detected"]] == []


def test_lamp_on_50_hz_mains_is_named_at_its_alias(carphone: list[Picture]) -> None:
    video = encode(with_flicker(carphone, hertz=100, modulation=0.02, rate=float(NTSC)), rate=NTSC)
    (line,) = flicker(trace(video))["lines"]
    assert line["frequency_hz"] == pytest.approx(10.09, abs=0.25)
    assert line["alias_of_lamps_hz"] == [100.0]


def test_mains_at_a_multiple_of_the_frame_rate_has_no_alias() -> None:
    assert mains_alias(100, RATE) == 0


def test_few_frames_are_not_judged_for_flicker(carphone: list[Picture]) -> None:
    found = flicker(trace(encode(carphone[:20])))
    assert not found["tested"]
    assert "48" in found["reason"]


@pytest.mark.parametrize("source", ["bikes", "carphone"])
def test_frames_repeated_for_a_higher_rate_give_the_rate_before(sources: Sources, source: str) -> None:
    repeated = [picture for index, picture in enumerate(sources[source]) for _ in range(2 if index % 4 == 3 else 1)]
    found = duplicates(trace(encode(repeated, rate=30)))
    assert found["detected"]
    assert (found["period"], found["frames_per_second_before"]) == (5, 24.0)


@pytest.mark.parametrize("source", ["bikes", "carphone"])
def test_frames_that_were_not_repeated_are_not_called_so(sources: Sources, source: str) -> None:
    found = duplicates(trace(encode(sources[source])))
    assert not found["detected"]
    assert found["period"] is None


def test_animation_made_at_24_frames_is_recognised_in_the_shipped_25() -> None:
    found = duplicates(trace(clip("bigbuckbunny.mp4").read_bytes()))
    assert (found["period"], found["frames_per_second_before"]) == (25, 24.0)


def test_step_reports_progress_that_rises_to_one(carphone: list[Picture]) -> None:
    video = encode(carphone)
    shares: list[float] = []
    result = fft(video, metadata_extraction(video), lambda share, _: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert result["frames_analysed"] == 120
    assert result["whole_video"]
