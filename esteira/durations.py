"""Durations as people write them: "10m", "1h30m", 2.5 (seconds), a timedelta."""

from __future__ import annotations

import re
from datetime import timedelta

from esteira.errors import ConfigurationError

Duration = timedelta | str | int | float

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def to_timedelta(duration: Duration) -> timedelta:
    """Read a duration; numbers are seconds.

    Raises ConfigurationError where it is negative, not finite, or not of the form "1h30m".
    """
    if isinstance(duration, timedelta):
        length = duration
    else:
        try:
            length = timedelta(seconds=_seconds(duration) if isinstance(duration, str) else duration)
        except (OverflowError, ValueError):
            raise ConfigurationError(f"{duration!r} is no duration that can be reckoned with") from None
    if length < timedelta(0):
        raise ConfigurationError(f"a duration cannot be negative: {duration!r}")
    return length


def to_seconds(duration: Duration) -> float:
    """Read a duration as seconds."""
    return to_timedelta(duration).total_seconds()


def _seconds(text: str) -> float:
    seconds, position = 0.0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            break
        seconds += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    if not text.strip() or text[position:].strip():
        raise ConfigurationError(f'"{text}" is not a duration: write 30s, 10m, 1h30m, 2d')
    return seconds
