"""What a check says: how bad it is, a sentence, and what to type."""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import BaseModel, ConfigDict

# ok: in order. note: good to know. warning: it works, but not as it should. problem: mend it now.
Level = Literal["ok", "note", "warning", "problem"]


class Finding(BaseModel):
    """One thing that a check found. `action` is one command, or one thing to do; None where there is nothing to do."""

    model_config = ConfigDict(frozen=True)

    check: str
    level: Level
    detail: str
    action: str | None = None


def duration(seconds: float) -> str:
    """Write a length of time in its largest unit that fits: 45 s, 12 min, 3 h, 8 days."""
    for length, unit in ((172_800, "days"), (7200, "h"), (120, "min")):
        if seconds >= length:
            return f"{seconds / {'days': 86_400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


def named(names: list[str], most: int = 5) -> str:
    """List names, of many only the first."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def count(number: int, what: str) -> str:
    """Write a number of things."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def psql(*statements: str) -> str:
    """Write the command that runs these statements, each in a transaction of its own."""
    return " ".join(['psql "$ESTEIRA_DATABASE_URL"', *(f"-c {shlex.quote(statement)}" for statement in statements)])
