"""How times and foreign text look in a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from datetime import datetime

STYLES = {
    "queued": "cyan",
    "running": "bold blue",
    "waiting": "magenta",
    "completed": "green",
    "dead": "bold red",
    "cancelled": "yellow",
    "alive": "green",
    "draining": "cyan",
    "silent": "yellow",
    "lost": "bold red",
    "stopped": "dim",
}
_VERB = re.compile(r"`select esteira\.(\w+)\('([^']+)'\)`")
_FRACTION = re.compile(r"(?<=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d+")
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def plain(value: object, style: str = "") -> Text:
    """Show text that came from users as it is: no markup, and no control characters that would steer the terminal."""
    shown = (letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in str(value))
    return Text("".join(shown), style=style)


def sentence_of(explanation: str) -> Text:
    """Show what `esteira.explain` says as a terminal has it: the commands of this one, and times without fractions."""
    told = _VERB.sub(r"`esteira \1 \2`", explanation)
    return plain(_FRACTION.sub("", told).replace(".. `", ". `"))


def word(status: str) -> Text:
    """Show a status or state in its colour."""
    return Text(status, style=STYLES.get(status, ""))


def duration(seconds: float) -> str:
    """Write a length of time with two units at most: 340 ms, 12.3 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    first = next(index for index, (_, length) in enumerate(_UNITS) if seconds >= length)
    (large, large_length), (small, small_length) = _UNITS[first], _UNITS[first + 1]
    rest = int(seconds % large_length // small_length)
    return f"{int(seconds // large_length)} {large}" + (f" {rest} {small}" if rest else "")


def rough(seconds: float) -> str:
    """Write a length of time in its largest unit, for narrow columns."""
    return next((f"{int(seconds // length)} {unit}" for unit, length in _UNITS if seconds >= length), "0 s")


def since(earlier: datetime, later: datetime) -> float:
    """Return the seconds between two moments."""
    return (later - earlier).total_seconds()
