"""Sort a file's tags into dates, places, devices and software."""

from __future__ import annotations

import re
from typing import Any

MAX_TAGS = 100
MAX_KEY = 80  # characters kept, so that the result stays small whatever a file holds
MAX_VALUE = 200

PLACE = re.compile(r"location|gps|geo|^xyz|latitude|longitude|loci", re.IGNORECASE)
DATE = re.compile(r"date|time(?!code|base|scale)|year|^tyer$|^tdrc$", re.IGNORECASE)
DEVICE = re.compile(r"make|model|camera|device|manufacturer|serial|lens", re.IGNORECASE)
SOFTWARE = re.compile(r"encoder|encoded.?by|software|tool|writing.?app|muxer|^too$|vendor|handler", re.IGNORECASE)
KINDS = {"places": PLACE, "dates": DATE, "devices": DEVICE, "software": SOFTWARE}

STRUCTURE = {"major_brand", "minor_version", "compatible_brands", "language", "duration"}
NEUTRAL = {"handler_name": ("VideoHandler", "SoundHandler"), "vendor_id": ("[0][0][0][0]", "FFMP")}
APPLE = "com.apple.quicktime."  # its "time" is no date
ISO_6709 = re.compile(r"^([+-]\d+(?:\.\d+)?)([+-]\d+(?:\.\d+)?)")


def sort_tags(found: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return `places`, `dates`, `devices`, `software`, `other`: lists of {where, key, value}, and `structure`.

    found: tags by where they stand. A place in ISO 6709 also has `latitude` and `longitude`. `structure` lists the
    tags that describe the format and not the file's origin.
    """
    every = [
        {"where": where, "key": key[:MAX_KEY], "value": value[:MAX_VALUE]}
        for where, tags in found.items()
        for key, value in tags.items()
    ][:MAX_TAGS]
    kinds: dict[str, Any] = {kind: [] for kind in (*KINDS, "other", "structure")}
    for tag in every:
        kinds[_kind(tag["key"].lower(), tag["value"])].append(tag)
    kinds["places"] = [tag | _coordinates(tag["value"]) for tag in kinds["places"]]
    return kinds


def _kind(key: str, value: str) -> str:
    if key in STRUCTURE or value in NEUTRAL.get(key, ()):
        return "structure"
    name = key.removeprefix(APPLE)
    return next((kind for kind, pattern in KINDS.items() if pattern.search(name)), "other")


def _coordinates(value: str) -> dict[str, float]:
    found = ISO_6709.match(value)
    if not found:
        return {}
    return {"latitude": float(found[1]), "longitude": float(found[2])}
