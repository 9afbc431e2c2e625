"""Find sinusoidal changes of brightness, such as lamps on alternating current leave, against the moving scene.

Thomson's harmonic F test ("Spectrum estimation and harmonic analysis", Proc. IEEE 70, 1982): several orthogonal tapers
give independent estimates of the spectrum at each frequency; a line shows in all with one complex amplitude, a scene's
broad spectrum does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal, stats

from .frames import Trace

SIGNIFICANCE = 0.001
MIN_FRAMES = 48
BANDWIDTH = 4  # time-bandwidth product; 7 tapers of it leak little
TAPERS = 2 * BANDWIDTH - 1
PADDING = 4  # frequencies computed per independent one
OUTLIER = 6.0  # scaled median deviations; a cut is far beyond, a sine never reaches 2
MAX_LINES = 10
# A shaking car (the carphone clip) makes significant lines of 0.0024 over two seconds. Lamps are not that weak.
MIN_MODULATION = 0.005
MAINS_FLICKER = (100.0, 120.0)  # Hz, twice the mains frequency

LIMITS = (
    "A flicker whose frequency is a multiple of the frame rate cannot be seen, nor one of fewer than three periods in "
    "the analysed frames. Frequencies above half the frame rate are seen at their alias. Lines weaker than 0.5 % are "
    "left out; a stronger one can also come from a scene that itself moves regularly, such as shaking."
)


def flicker(trace: Trace) -> dict[str, Any]:
    """Report the significant lines in the spectrum of the brightness, strongest first.

    `frequency_hz`; `modulation`: amplitude over mean brightness; `p_value`: all frequencies tried counted in.
    """
    count = len(trace.brightness)
    result: dict[str, Any] = {"tested": False, "detected": False, "lines": [], "limits": LIMITS}
    if count < MIN_FRAMES:
        return result | {"reason": f"The video has {count} frames; this needs {MIN_FRAMES}."}
    every = _lines(_relative_change(trace.brightness), trace.frames_per_second)
    lines = [line for line in every if line["modulation"] >= MIN_MODULATION]
    return result | {
        "tested": True,
        "detected": bool(lines),
        "lines": lines,
        "resolution_hz": round(trace.frames_per_second / count, 4),
    }


def _relative_change(brightness: NDArray[np.float64]) -> NDArray[np.float64]:
    # Differences of the logarithm: slow changes go, a flicker keeps its frequency, a cut is one outlier.
    change = np.diff(np.log(np.maximum(brightness, 1.0)))
    change -= np.median(change)
    limit = OUTLIER * stats.median_abs_deviation(change, scale="normal")
    return np.where(np.abs(change) > limit, 0.0, change)


def _lines(change: NDArray[np.float64], rate: float) -> list[dict[str, Any]]:
    count = len(change)
    frequencies = np.fft.rfftfreq(PADDING * count, 1 / rate)
    f_values, amplitudes = _harmonic_test(change, PADDING * count)
    independent = count // 2
    p_values = np.minimum(1.0, stats.f.sf(f_values, 2, 2 * TAPERS - 2) * independent)
    inside = (frequencies >= 3 * rate / count) & (frequencies <= rate / 2 - rate / count)
    remaining = np.where(inside, p_values, 1.0)
    found: list[dict[str, Any]] = []
    while len(found) < MAX_LINES and remaining.min() < SIGNIFICANCE:
        best = int(np.argmin(remaining))
        found.append(_line(float(frequencies[best]), float(amplitudes[best]), float(p_values[best]), rate, count))
        remaining[np.abs(frequencies - frequencies[best]) <= BANDWIDTH * rate / count] = 1.0
    return found


def _line(frequency: float, amplitude: float, p_value: float, rate: float, count: int) -> dict[str, Any]:
    gain = 2 * np.sin(np.pi * frequency / rate)  # what taking differences did to the amplitude
    lamps = [mains for mains in MAINS_FLICKER if abs(mains_alias(mains, rate) - frequency) <= rate / count]
    return {
        "frequency_hz": round(frequency, 3),
        "modulation": round(float(2 * amplitude / gain), 5),
        "p_value": p_value,
        "alias_of_lamps_hz": lamps,
    }


def _harmonic_test(change: NDArray[np.float64], length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tapers = signal.windows.dpss(len(change), BANDWIDTH, TAPERS)
    spectra = np.fft.rfft(tapers * (change - change.mean()), length)
    sums = tapers.sum(axis=1)
    amplitude = (sums @ spectra) / (sums @ sums)
    residual = np.sum(np.abs(spectra - np.outer(sums, amplitude)) ** 2, axis=0)
    f_values = (TAPERS - 1) * np.abs(amplitude) ** 2 * (sums @ sums) / np.maximum(residual, 1e-30)
    return np.asarray(f_values), np.abs(amplitude)


def mains_alias(frequency: float, rate: float) -> float:
    """Return the frequency at which a camera of `rate` frames per second shows a flicker of `frequency`."""
    return abs(frequency - round(frequency / rate) * rate)
