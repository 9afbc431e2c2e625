"""A worker that sweeps once, when it begins, and then only looks above its floors."""

from __future__ import annotations

from typing import Any

from history_tasks import app  # noqa: F401 - what the worker runs
from replaced import replace

from esteira_worker.claimer import Claimer
from esteira_worker.spacing import Spacing

begin = Claimer.__init__


class Once(Spacing):
    """Due once."""

    _is_due = True

    def due(self, now: float, sharers: int) -> bool:
        """Say so the first time."""
        due, self._is_due = self._is_due, False
        return due


def sweep_once(self: Any, *arguments: Any, **named: Any) -> None:
    begin(self, *arguments, **named)
    self._sweeps = Once()


replace(Claimer, "__init__", sweep_once)
