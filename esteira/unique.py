"""Which jobs of a task count as the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from esteira.errors import ConfigurationError
from esteira.new_job import OnConflict


@dataclass(frozen=True, init=False)
class Unique:
    """Say that no two live jobs of a task have the same values in these fields of their payloads.

    on_conflict: what becomes of a job that would be the second: "return" (the live one is the answer), "replace" (the
    live one takes over what is asked for, unless it has begun) or "reject".
    """

    fields: tuple[str, ...]
    on_conflict: OnConflict

    def __init__(self, *fields: str, on_conflict: OnConflict = "return") -> None:
        if not fields or len(set(fields)) < len(fields):
            raise ConfigurationError(
                f"Unique names fields of the payload, each once, not: {', '.join(fields) or 'none'}"
            )
        if on_conflict not in get_args(OnConflict):
            raise ConfigurationError(f'on_conflict="{on_conflict}" is none of {", ".join(get_args(OnConflict))}')
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "on_conflict", on_conflict)
