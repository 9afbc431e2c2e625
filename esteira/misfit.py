"""What pydantic finds wrong with a value, as people are told it: in one line, each fault with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_MOST = 20


def misfit(error: ValidationError) -> str:
    """Say what does not fit, as `items.0.price: Input should be a valid number; to: Field required`."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [_told(".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults[:_MOST]]
    more = len(faults) - _MOST
    return "; ".join([*told, *([f"and {more} more"] if more > 0 else [])])


def _told(place: str, message: str) -> str:
    return f"{place}: {message}" if place else message
