"""Filters that separate a picture's noise from its content."""

from __future__ import annotations

import numpy as np
import pywt
from scipy.ndimage import uniform_filter

from .media import Luma

WAVELET = "db4"  # Daubechies with 8 taps, as in Mihcak, Kozintsev, Ramchandran (ICASSP 1999) and Lukas et al. (2006)
LEVELS = 4
NOISE_VARIANCE = 9.0  # 3 grey levels; Chen et al. used 2 to 5 without noticeable difference
WINDOWS = (3, 5, 7, 9)


def noise_residual(picture: Luma) -> Luma:
    """Return the picture less its denoised self; both (height, width), grey levels.

    Each wavelet coefficient is shrunk by a Wiener filter whose signal variance is the least over four windows.
    """
    depth = min(LEVELS, pywt.dwt_max_level(min(picture.shape), WAVELET))
    levels = pywt.wavedec2(picture, WAVELET, mode="periodization", level=depth)
    # What the filter takes away is transformed back at once: the approximation is content only.
    noise = [np.zeros_like(levels[0])] + [tuple(_noise(band) for band in bands) for bands in levels[1:]]
    return np.asarray(pywt.waverec2(noise, WAVELET, mode="periodization"), dtype=np.float32)


def _noise(band: Luma) -> Luma:
    return np.asarray(band * NOISE_VARIANCE / (NOISE_VARIANCE + _signal_variance(band)), dtype=np.float32)


def _signal_variance(band: Luma) -> Luma:
    power = band * band
    local = np.minimum.reduce([uniform_filter(power, window, mode="wrap") for window in WINDOWS])
    return np.asarray(np.maximum(local - NOISE_VARIANCE, 0), dtype=np.float32)


def wiener_dft(pattern: Luma) -> Luma:
    """Return the pattern without the peaks of its spectrum: block grids and other periodic traces of codecs."""
    spectrum = np.fft.fft2(pattern)
    magnitude = np.abs(spectrum) / np.sqrt(pattern.size)
    variance = float(pattern.var())
    if variance == 0:
        return pattern
    power = magnitude * magnitude
    local = np.minimum.reduce([uniform_filter(power, window, mode="wrap") for window in WINDOWS])
    excess = np.maximum(local - variance, 0)
    return np.asarray(np.fft.ifft2(spectrum * variance / (variance + excess)).real, dtype=np.float32)
