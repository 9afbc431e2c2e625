"""Find what Postgres cannot store in a JSON document: NUL, lone surrogates, NaN and infinities, too long, too deep."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from esteira_service.problems import InputError, json_pointer

MAX_DEPTH = 100
MAX_DIGITS = 4300
_MAX_FAULTS = 20
_TOO_DEEP = f"this is nested more than {MAX_DEPTH} deep"
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - _STEPS.keys())
_Place = tuple[int | str, ...]


class _TooLong:
    """Stand for an integer with more digits than Python reads."""


def find_unstorable(document: Any) -> list[InputError]:
    """Return what cannot be stored and where it stands, twenty at most. The document itself is at depth 0."""
    faults: list[InputError] = []
    for place, detail in _faults(document):
        faults.append(InputError(pointer=_printable(json_pointer(place)), detail=detail))
        if len(faults) == _MAX_FAULTS:
            break
    return faults


def find_unstorable_text(body: bytes) -> list[InputError]:
    """Do the same for JSON text that a strict reader gives up on; nothing is found in what is no JSON at all."""
    try:
        document = json.loads(body, parse_int=lambda digits: int(digits) if len(digits) <= MAX_DIGITS else _TooLong())
    except RecursionError:
        return [InputError(pointer="", detail=_TOO_DEEP)]
    except ValueError:
        return []
    return find_unstorable(document)


def nesting(body: bytes) -> int:
    """Return how deep the brackets of JSON text nest; a twentieth of what it takes to walk through its values."""
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _faults(document: Any) -> Iterator[tuple[_Place, str]]:
    # A stack of our own: the document may be deeper than Python's.
    pending: list[tuple[_Place, Any]] = [((), document)]
    while pending:
        place, value = pending.pop()
        detail = _fault(value)
        if detail is not None:
            yield place, detail
        elif isinstance(value, dict | list):
            if len(place) > MAX_DEPTH:
                yield place[:1], _TOO_DEEP
                return
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in items:
                wrong = _fault(key)
                if wrong is not None:
                    yield place, f"a key here is not valid: {wrong}"
                pending.append(((*place, key), inner))


def _fault(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "PostgreSQL cannot store the character NUL"
        if value != _printable(value):
            return "half of a surrogate pair is no character"
    elif isinstance(value, float) and not math.isfinite(value):
        return "the number must be finite, and within the range of a double"
    elif isinstance(value, _TooLong):
        return f"the number has more than {MAX_DIGITS} digits"
    return None


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()
