from __future__ import annotations

import numpy as np
import pytest

from video_forensics import metadata_extraction, pack_fingerprint, prnu, unpack_fingerprint
from video_forensics.denoising import wiener_dft
from video_forensics.media import Luma
from video_forensics.prnu import PCE_THRESHOLD, Prnu, centre_crop, peak_to_correlation_energy

from .clips import Picture, encode, pictures, with_sensor

HEIGHT = 272  # of bikes; the other clip is cut to it
SENSOR, OTHER_SENSOR = 1, 2


@pytest.fixture(scope="module")
def bikes_shown() -> list[Picture]:
    return pictures("bikes.mp4", height=HEIGHT)


@pytest.fixture(scope="module")
def bunny_shown() -> list[Picture]:
    return pictures("bigbuckbunny.mp4", size=(640, 360), height=HEIGHT)[:80]


def examined(frames: list[Picture], references: dict[str, Luma] | None = None) -> Prnu:
    video = encode(frames)
    return prnu(video, metadata_extraction(video), references)


@pytest.fixture(scope="module")
def reference(bikes_shown: list[Picture]) -> dict[str, Luma]:
    """The fingerprint from the first half of bikes; every test looks at other frames."""
    return {"camera": examined(with_sensor(bikes_shown[:125], SENSOR)).fingerprint}


def test_sensor_is_found_in_later_frames_of_its_clip(bikes_shown: list[Picture], reference: dict[str, Luma]) -> None:
    found = examined(with_sensor(bikes_shown[125:], SENSOR), reference).result
    assert found["matched"] == ["camera"]
    assert found["reliable"]


def test_sensor_is_found_in_another_clip(bunny_shown: list[Picture], reference: dict[str, Luma]) -> None:
    assert examined(with_sensor(bunny_shown, SENSOR), reference).result["matched"] == ["camera"]


def test_other_sensor_is_not_taken_for_it_in_the_same_scenes(
    bikes_shown: list[Picture], reference: dict[str, Luma]
) -> None:
    found = examined(with_sensor(bikes_shown[125:], OTHER_SENSOR), reference).result
    assert found["matched"] == []
    assert found["comparisons"][0]["pce"] < PCE_THRESHOLD


@pytest.mark.parametrize("seed", [None, OTHER_SENSOR], ids=["no sensor", "other sensor"])
def test_third_clip_does_not_match(bunny_shown: list[Picture], reference: dict[str, Luma], seed: int | None) -> None:
    frames = bunny_shown if seed is None else with_sensor(bunny_shown, seed)
    assert examined(frames, reference).result["matched"] == []


def test_clips_without_any_sensor_do_not_match_each_other(
    bikes_shown: list[Picture], bunny_shown: list[Picture]
) -> None:
    plain = {"plain": examined(bikes_shown[:125]).fingerprint}
    assert examined(bunny_shown, plain).result["matched"] == []


def test_reference_of_another_size_is_not_compared(carphone: list[Picture], reference: dict[str, Luma]) -> None:
    (comparison,) = examined(carphone, reference).result["comparisons"]
    assert not comparison["comparable"]
    assert "512 x 272, not 176 x 144" in comparison["reason"]


def test_packed_fingerprint_still_matches(reference: dict[str, Luma]) -> None:
    packed = pack_fingerprint(reference["camera"])
    assert len(packed) < 512 * 1024
    again = unpack_fingerprint(packed)
    assert again.shape == reference["camera"].shape
    assert likeness(again, reference["camera"]) > 0.999


@pytest.mark.parametrize("packed", [b"", b"\xff" * 40, b"\x00\x10\x00\x10nonsense"])
def test_bytes_that_are_no_fingerprint_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="pack_fingerprint"):
        unpack_fingerprint(packed)


def test_codec_grid_is_removed_and_the_noise_kept() -> None:
    noise = np.random.default_rng(4).standard_normal((128, 128)).astype(np.float32)
    grid = np.zeros_like(noise)
    grid[::8, ::8] = 8
    filtered = wiener_dft(noise + grid)
    assert likeness(noise + grid, grid) > 0.7
    assert likeness(filtered, grid) < 0.5
    assert likeness(noise + grid, noise) < 0.75
    assert likeness(filtered, noise) > 0.85


def likeness(one: Luma, other: Luma) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_tiny_pictures_are_called_unreliable() -> None:
    tiny = [np.full((24, 32), 16 * (index % 8), np.uint8) for index in range(12)]
    assert not examined(tiny).result["reliable"]


def test_energy_of_unrelated_noise_stays_below_the_threshold() -> None:
    noise = np.random.default_rng(3).standard_normal((2, 128, 128)).astype(np.float32)
    assert abs(peak_to_correlation_energy(noise[0], noise[1])) < 20
    assert peak_to_correlation_energy(noise[0], noise[0] + noise[1]) > 1000
    assert peak_to_correlation_energy(noise[0], -noise[0]) < 0


def test_crop_is_the_centre() -> None:
    picture = np.arange(720 * 1280, dtype=np.float32).reshape(720, 1280)
    assert centre_crop(picture).shape == (512, 512)
    assert centre_crop(picture)[0, 0] == picture[104, 384]
