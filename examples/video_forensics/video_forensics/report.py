"""Step 5: the report, one JSON object that a person can read from the top."""

from __future__ import annotations

from typing import Any

VERSION = 1


def report_generation(
    metadata: dict[str, Any], prnu: dict[str, Any], fft: dict[str, Any], classification: dict[str, Any]
) -> dict[str, Any]:
    """Return the summary in sentences, the classes found with their evidence, the limits, and all steps' results."""
    found = [each for each in classification["classes"] if each["found"]]
    return {
        "version": VERSION,
        "file": metadata["file"],
        "summary": [_describe(metadata), *_tags(metadata), _origin(found)],
        "found": found,
        "statement": classification["statement"],
        "limits": {
            "prnu": prnu["limits"],
            "flicker": fft["flicker"]["limits"],
            "duplicates": fft["duplicates"]["limits"],
            "reencoding": fft["reencoding"]["limits"],
        },
        "steps": {"metadata_extraction": metadata, "prnu": prnu, "fft": fft, "classification": classification},
    }


def _describe(metadata: dict[str, Any]) -> str:
    video = metadata["video"]
    sound = ", ".join(audio["codec"] for audio in metadata["audio"]) or "no sound"
    return (
        f"{video['duration_seconds']:.1f} s of {video['codec']} at {video['width']} x {video['height']}, "
        f"{video['frames_per_second']:g} frames per second, {video['frames']} frames, with {sound}."
    )


def _tags(metadata: dict[str, Any]) -> list[str]:
    names = {"places": "place", "dates": "date", "devices": "device"}
    return [
        f"Its tags name a {name}: {', '.join(sorted({tag['value'] for tag in metadata['tags'][kind]}))}."
        for kind, name in names.items()
        if metadata["tags"][kind]
    ]


def _origin(found: list[dict[str, Any]]) -> str:
    if not found:
        return "No trace of a known process was found: the origin is unknown."
    return "Traces found: " + "; ".join(each["meaning"] for each in found) + "."
