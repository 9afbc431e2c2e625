"""A job as the attempt that runs it sees it, and what both kinds of context share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from esteira.errors import ConfigurationError, LeaseLost
from esteira.signature import return_adapter

@dataclass(slots=True)
class Claimed:
    """A claimed job: (id, attempt) is the fencing token. payload: JSON text; timeout: seconds, None where its task says."""

    id: UUID
    attempt: int
    queue: str
    task: str
    payload: str
    failures: int
    crashes: int
    timeout: float | None

    def lease_lost(self) -> LeaseLost:
        """Return the error that says so."""
        return LeaseLost(f"attempt {self.attempt} no longer holds job {self.id}; nothing of it is kept")


class Steps:
    """Remember which steps of a job are finished, and how far that brings a declared pipeline."""

    def __init__(self, declared: Sequence[str]) -> None:
        self._declared = declared
        self._used: set[str] = set()
        self.finished: dict[str, str] | None = None

    def begin(self, name: str, function: Callable[..., Any]) -> TypeAdapter[Any]:
        """Note that a step of this name begins; returns the adapter of its result. A name used twice in one run is an error."""
        if name in self._used:
            raise ConfigurationError(f'the step "{name}" was used already in this run: each step needs a name of its own')
        if self._declared and name not in self._declared:
            raise ConfigurationError(f'the step "{name}" is not among the declared ones: {", ".join(self._declared)}')
        self._used.add(name)
        return return_adapter(function)

    def progress_after(self, name: str) -> float | None:
        """Return the share of a declared pipeline that is done once this step is; None where none is declared."""
        if not self._declared:
            return None
        return (self._declared.index(name) + 1) / len(self._declared)
