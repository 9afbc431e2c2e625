"""Put another function in the place of one that is there: a name that nothing has any more is an error."""

from __future__ import annotations

from typing import Any


def replace(owner: Any, name: str, function: Any) -> None:
    assert callable(getattr(owner, name)), name
    setattr(owner, name, function)
