"""Names that nobody knows: refused, not ignored, with those that are known and the one that may be meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

# `delay` for `delay_seconds` is just as near.
_LIKENESS = 0.5


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no such field or parameter, and which there are."""
    names = list(known)
    near = get_close_matches(name, names, n=1, cutoff=_LIKENESS)
    meant = f"; did you mean {near[0]}?" if near else ";"
    return f"unknown {kind}{meant} known here: {', '.join(names) or 'none'}"


def unknown_field(model: type[BaseModel], place: Sequence[int | str]) -> str:
    """Say it of a field that stands at this place in a document."""
    *way, name = place
    inner: Any = model
    for step in way:
        inner = _model_in(inner.model_fields[str(step)].annotation)
    return unknown("field", str(name), inner.model_fields)


def _model_in(annotation: Any) -> Any:
    """Find the model in `Model | None`: no other kind of field has fields."""
    return next(kind for kind in (annotation, *get_args(annotation)) if hasattr(kind, "model_fields"))
