"""Step 2: the sensor's noise pattern (photo-response non-uniformity), accumulated over frames.

After Chen, Fridrich, Goljan, Lukas, "Determining image origin and integrity using sensor noise" (IEEE TIFS 3, 2008):
residuals of a wavelet Wiener filter, the maximum likelihood estimate of the multiplicative pattern, removal of what
all cameras and codecs share (row and column means, peaks of the spectrum), and the peak-to-correlation energy.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .denoising import noise_residual, wiener_dft
from .errors import UnusableVideo
from .media import Luma, Progress, luma, no_progress
from .sampling import sampled_frames

SAMPLED_FRAMES = 50  # about 0.1 s each; the pattern's error falls with the root of their number
SIDE = 512  # pixels of the centre crop
MULTIPLE = 16  # the crop's sides, so that four wavelet levels divide them
MIN_SIDE = 128
MIN_FRAMES = 10
PEAK = 11  # side of the square around the peak that does not count as background, as in the literature
PCE_THRESHOLD = 60.0
THRESHOLD_SOURCE = (
    "PCE 60, the threshold of Goljan, Fridrich, Filler, 'Large scale test of sensor fingerprint camera "
    "identification' (SPIE 7254, 2009), where it gave 2.4e-5 false identifications of still images."
)
LIMITS = (
    "Compared at the same size and position only: scaling, rotation, cropping and stabilisation hide a match. "
    "Strong compression weakens the pattern. A missing match therefore proves nothing. Videos of the same still scene "
    "can resemble each other by their content."
)


class Prnu(NamedTuple):
    """`result` is JSON; `fingerprint` (height, width), float32, is made storable by `pack_fingerprint`."""

    result: dict[str, Any]
    fingerprint: Luma


def prnu(
    video: bytes,
    metadata: dict[str, Any],
    references: Mapping[str, Luma] | None = None,
    progress: Progress = no_progress,
) -> Prnu:
    """Estimate the video's fingerprint and compare it with the references.

    metadata: the result of `metadata_extraction`. references: fingerprints of earlier results by name. A reference of
    another size is listed as not comparable. Raises `UnusableVideo`.
    """
    fingerprint, used = _estimate(video, metadata, progress)
    matches = [_compare(fingerprint, name, reference) for name, reference in (references or {}).items()]
    result = {
        "frames_used": used,
        "crop": {"height": fingerprint.shape[0], "width": fingerprint.shape[1]},
        "reliable": used >= MIN_FRAMES and min(fingerprint.shape) >= MIN_SIDE,
        "strength": round(float(fingerprint.std()), 6),
        "fingerprint_sha256": hashlib.sha256(pack_fingerprint(fingerprint)).hexdigest(),
        "threshold": PCE_THRESHOLD,
        "threshold_source": THRESHOLD_SOURCE,
        "comparisons": matches,
        "matched": [match["reference"] for match in matches if match["match"]],
        "limits": LIMITS,
    }
    progress(1.0, "Sensor noise done")
    return Prnu(result, fingerprint)


def _estimate(video: bytes, metadata: dict[str, Any], progress: Progress) -> tuple[Luma, int]:
    # K = sum(W I) / sum(I^2): the maximum likelihood estimate of the factor in I = I0 (1 + K).
    weighted: Luma | None = None
    energy: Luma | None = None
    used = 0
    for frame in sampled_frames(video, metadata["video"]["frames"], SAMPLED_FRAMES):
        picture = centre_crop(luma(frame))
        if weighted is None or energy is None:
            weighted, energy = np.zeros_like(picture), np.zeros_like(picture)
        if picture.shape != weighted.shape:
            continue
        weighted += noise_residual(picture) * picture
        energy += picture * picture
        used += 1
        progress(min(0.95, used / SAMPLED_FRAMES), f"Noise of frame {used} of at most {SAMPLED_FRAMES}")
    if weighted is None or energy is None:
        raise UnusableVideo("No frame of this video could be decoded for the noise analysis. Export it again.")
    return _without_shared_traces(weighted / (energy + 1.0)), used


def centre_crop(picture: Luma) -> Luma:
    """Return the centre, at most `SIDE` on a side, sides a multiple of `MULTIPLE`.

    Raises `UnusableVideo` for a picture smaller than `MULTIPLE`.
    """
    height, width = picture.shape
    kept = [min(SIDE, side) // MULTIPLE * MULTIPLE for side in (height, width)]
    if min(kept) == 0:
        raise UnusableVideo(f"The picture is only {width} x {height} pixels; at least {MULTIPLE} x {MULTIPLE} needed.")
    top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
    return picture[top : top + kept[0], left : left + kept[1]]


def _without_shared_traces(pattern: Luma) -> Luma:
    pattern = pattern - pattern.mean(axis=0, keepdims=True)
    pattern = pattern - pattern.mean(axis=1, keepdims=True)
    return wiener_dft(pattern)


def _compare(fingerprint: Luma, name: str, reference: Luma) -> dict[str, Any]:
    if reference.shape != fingerprint.shape:
        sizes = f"{reference.shape[1]} x {reference.shape[0]}, not {fingerprint.shape[1]} x {fingerprint.shape[0]}"
        return {"reference": name, "comparable": False, "match": False, "reason": f"The reference is {sizes} pixels."}
    energy = peak_to_correlation_energy(fingerprint, reference)
    return {
        "reference": name,
        "comparable": True,
        "match": energy > PCE_THRESHOLD,
        "pce": round(energy, 2),
        "correlation": round(_correlation(fingerprint, reference), 5),
    }


def _correlation(one: Luma, other: Luma) -> float:
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.vdot(one, other)) / norm if norm else 0.0


def peak_to_correlation_energy(one: Luma, other: Luma) -> float:
    """Return the signed squared correlation at no shift over the mean square of all shifts around it.

    The videos have one size, so the place of the peak is known: no search, and fewer chances of a false match than the
    literature's threshold allows for.
    """
    spectrum = np.fft.rfft2(one) * np.conj(np.fft.rfft2(other))
    plane = np.fft.irfft2(spectrum, one.shape)
    peak = float(plane[0, 0])
    background = np.roll(plane, (PEAK // 2, PEAK // 2), axis=(0, 1))
    background[:PEAK, :PEAK] = 0
    mean_square = float(np.sum(background**2)) / (background.size - PEAK * PEAK)
    return float(np.sign(peak)) * peak * peak / mean_square if mean_square else 0.0


def pack_fingerprint(fingerprint: Luma) -> bytes:
    """Return the fingerprint as bytes of at most half a MiB, for a bytea column. Values are rounded to 16 bits."""
    height, width = fingerprint.shape
    header = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(header + zlib.compress(fingerprint.astype("<f2").tobytes()))


def unpack_fingerprint(packed: bytes) -> Luma:
    """Return what `pack_fingerprint` packed. Raises ValueError for other bytes."""
    height, width = int.from_bytes(packed[:2], "big"), int.from_bytes(packed[2:4], "big")
    size = height * width * 2
    try:
        # The limit keeps a forged small input from filling the memory.
        values = zlib.decompressobj().decompress(packed[4:], size) if 0 < size <= SIDE * SIDE * 2 else b""
    except zlib.error:
        values = b""
    if not values or len(values) != size:
        raise ValueError("These bytes are no fingerprint; pass bytes made by pack_fingerprint.")
    return np.frombuffer(values, "<f2").reshape(height, width).astype(np.float32)
