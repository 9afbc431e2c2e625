"""Whether what a page shows is what came out. Ids, times and widths differ from run to run; "…" stands for anything."""

from __future__ import annotations

import json
import re
from typing import Any

UNSTABLE = [
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00(:00)?|Z)?"), "TIME"),
    (re.compile(r"\d\d:\d\d:\d\d(\.\d+)?"), "DURATION"),
    (re.compile(r"[-─━═]{2,}"), "--"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" ?\n ?"), "\n"),
]


def stable(text: str) -> str:
    for pattern, name in UNSTABLE:
        text = pattern.sub(name, text)
    return text.strip()


def same_text(shown: str, came: str) -> bool:
    parts = [re.escape(part) for part in stable(shown).split("…")]
    return re.fullmatch(".*?".join(parts), stable(came), re.DOTALL) is not None


def same_json(shown: Any, came: Any) -> bool:
    """Every field that is shown came with that value; fields that are left out may be anything."""
    if isinstance(shown, dict):
        return isinstance(came, dict) and all(name in came and same_json(shown[name], came[name]) for name in shown)
    if isinstance(shown, list):
        same = isinstance(came, list) and len(shown) == len(came)
        return same and all(same_json(one, other) for one, other in zip(shown, came, strict=True))
    if isinstance(shown, str):
        return shown == "…" or (isinstance(came, str) and same_text(shown, came))
    if isinstance(shown, float):
        return isinstance(came, float | int)
    return type(shown) is type(came) and bool(shown == came)


def same(language: str, shown: str, came: str) -> bool:
    if language == "text":
        return same_text(shown, came)
    body = came.rsplit("\r\n\r\n", 1)[-1]  # curl -i shows headers before it
    return same_json(json.loads(shown), json.loads(body))
