"""Step 4: which origins the traces speak for. Only classes whose trace the tests make by a known process."""

from __future__ import annotations

from typing import Any

STATEMENT = (
    "These are traces found, not probabilities. Each class rests on a trace that this program's tests produce by a "
    "known process and find again; no accuracy on other videos has been measured and none is claimed. "
    "A class that was not found is not excluded."
)
ORIGIN_TAGS = ("places", "dates", "devices", "software", "other")


def classification(metadata: dict[str, Any], prnu: dict[str, Any], fft: dict[str, Any]) -> dict[str, Any]:
    """Return the classes with their evidence, from the results of the three steps before.

    `classes`: {name, meaning, found, evidence}. `found`: names of those found, empty if the origin is unknown.
    """
    classes = [
        _class("known_sensor", "filmed with the sensor of a reference", _known_sensor(prnu)),
        _class("encoded_before", "compressed at least once before the present encode", _encoded_before(fft)),
        _class("frame_rate_raised", "converted to a higher frame rate by repeating frames", _frame_rate(fft)),
        _class("flickering_light", "its brightness changes at a fixed frequency, as under lamps", _flicker(fft)),
        _class("written_by_software", "its tags or coded data name the program that wrote it", _software(metadata)),
        _class("names_device", "its tags name a camera; anyone can write such tags", _devices(metadata)),
        _class("stripped", "says nothing about its origin, as after cleaning", _stripped(metadata)),
    ]
    return {
        "classes": classes,
        "found": [each["name"] for each in classes if each["found"]],
        "statement": STATEMENT,
    }


def _class(name: str, meaning: str, evidence: list[str]) -> dict[str, Any]:
    return {"name": name, "meaning": meaning, "found": bool(evidence), "evidence": evidence}


def _known_sensor(prnu: dict[str, Any]) -> list[str]:
    if not prnu["reliable"]:
        return []
    return [
        f"Noise pattern of {match['reference']}: PCE {match['pce']:.0f}, threshold {prnu['threshold']:.0f}."
        for match in prnu["comparisons"]
        if match["match"]
    ]


def _encoded_before(fft: dict[str, Any]) -> list[str]:
    found = fft["reencoding"]
    if not found["detected"]:
        return []
    comb = found["strongest_comb"]
    evidence = (
        f"Every {comb['period']} frames there is {comb['median_relative_novelty']:.2f} times the usual new "
        f"information, {comb['frames']} times (p = {comb['p_value']:.1g}): keyframes of an earlier encode."
    )
    return [evidence]


def _frame_rate(fft: dict[str, Any]) -> list[str]:
    found = fft["duplicates"]
    if not found["detected"]:
        return []
    evidence = (
        f"Every frame number {found['period']} repeats the one before (p = {found['p_value']:.1g}): "
        f"{found['frames_per_second_before']:g} frames per second before."
    )
    return [evidence]


def _flicker(fft: dict[str, Any]) -> list[str]:
    return [_flicker_line(line) for line in fft["flicker"]["lines"]]


def _flicker_line(line: dict[str, Any]) -> str:
    lamps = "".join(f"; a lamp flickering at {lamp:.0f} Hz would show there" for lamp in line["alias_of_lamps_hz"])
    return (
        f"Brightness changes by {line['modulation']:.1%} at {line['frequency_hz']:.2f} Hz (p = {line['p_value']:.1g})"
        f"{lamps}."
    )


def _software(metadata: dict[str, Any]) -> list[str]:
    tags = [f"Tag {tag['key']} ({tag['where']}): {tag['value']}" for tag in metadata["tags"]["software"]]
    return tags + [f"Coded data: {text.split(' - options')[0]}" for text in metadata["encoder_signatures"]]


def _devices(metadata: dict[str, Any]) -> list[str]:
    return [f"Tag {tag['key']} ({tag['where']}): {tag['value']}" for tag in metadata["tags"]["devices"]]


def _stripped(metadata: dict[str, Any]) -> list[str]:
    if metadata["encoder_signatures"] or any(metadata["tags"][kind] for kind in ORIGIN_TAGS):
        return []
    return ["No tag names a place, date, device or program, and the coded data are unsigned."]
