"""A worker that sweeps once, when it begins, and then only looks above its floors."""

from __future__ import annotations

import math
from typing import Any

from history_tasks import app  # noqa: F401 - what the worker runs
from replaced import replace

from esteira_worker.spacing import Spacing


def never(self: Any, *_: object) -> None:
    self._looked = math.inf


replace(Spacing, "looked", never)
