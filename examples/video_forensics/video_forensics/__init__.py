"""Where does this video come from? Six steps, each a plain function of the video's bytes and earlier results.

`metadata_extraction`, `prnu`, `fft`, `classification`, `report_generation`, `cleaning`, in this order. Every result is
a dict that JSON can carry; what is not JSON (a fingerprint, the clean video) is returned beside it.
"""

from __future__ import annotations

from .classification import classification
from .cleaning import Cleaning, cleaning
from .clips import clip
from .errors import UnusableVideo
from .fft import fft
from .metadata import metadata_extraction
from .prnu import Prnu, pack_fingerprint, prnu, unpack_fingerprint
from .report import report_generation

__all__ = [
    "Cleaning",
    "Prnu",
    "UnusableVideo",
    "classification",
    "cleaning",
    "clip",
    "fft",
    "metadata_extraction",
    "pack_fingerprint",
    "prnu",
    "report_generation",
    "unpack_fingerprint",
]
