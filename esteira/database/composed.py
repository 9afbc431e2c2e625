"""Statements that SQLAlchemy composed, as the drivers take them. Only those who compose pay for its import."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Dialect, Select


def compiled(query: str | Select[Any], args: Sequence[object]) -> tuple[str, Sequence[object]]:
    """Return a statement and its parameters, of which SQLAlchemy's have theirs inside."""
    if isinstance(query, str):
        return query, args
    compiled = query.compile(dialect=_dialect(), compile_kwargs={"render_postcompile": True})
    values = compiled.params  # made anew each time that it is asked for
    return str(compiled), [values[name] for name in compiled.positiontup or ()]


@cache
def _dialect() -> Dialect:
    """Make it once: it remembers what it found out about types."""
    from sqlalchemy import make_url

    return make_url("postgresql+asyncpg://").get_dialect()()
