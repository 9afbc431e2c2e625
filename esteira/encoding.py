"""JSON as Postgres stores it: exact integers, no NUL, no NaN, no lone surrogates; and as it can be read again."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from esteira.errors import InvalidInput

# An escaped NUL, but not an escaped backslash that "u0000" happens to follow.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


# A shorter text cannot nest deeper, or hold a longer number, than can be read again (200 levels, 4,300 digits).
_SURELY_READABLE = 400


class Encoded(str):
    """JSON text, encoded already; `encode` lets it pass."""

    __slots__ = ()


_NULL = Encoded("null")


def encode(value: Any, *, round_trip: bool = False) -> Encoded:
    """Write a value as JSON text. Raises InvalidInput where it has none that can be stored and read again.

    NaN and infinities are written as such and refused by Postgres, in the very statement that would store them.
    round_trip: leave out what a pydantic model computes, so that the same model can be read from the text.
    """
    if value is None:
        return _NULL
    if isinstance(value, Encoded):
        return value
    try:
        text = to_json(value, inf_nan_mode="constants", round_trip=round_trip).decode()
        if len(text) > _SURELY_READABLE:
            from_json(text)
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidInput(f"it has no JSON form: {error}") from None
    if "\\u0000" in text and _NUL.search(text):
        raise InvalidInput("it holds the character NUL, which PostgreSQL cannot store")
    return Encoded(text)


def decode(text: str | None) -> Any:
    """Read JSON text; None stays None."""
    return None if text is None else from_json(text)
