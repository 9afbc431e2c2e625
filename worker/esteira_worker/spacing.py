"""When to look again for what nobody tells, where a look may be dear."""

from __future__ import annotations

import math
import random

_EVERY_SECONDS = 1.0
_SHARE = 1 / 20


class Spacing:
    """Look about once a second over all who share it; where looks are dear, for at most a twentieth of the time.

    One dear look alone does not count: it waited for a lock, or the server stood still, and what is late must not wait
    20 times that.
    """

    def __init__(self) -> None:
        self._next = -math.inf
        self._last_took = 0.0

    def due(self, now: float) -> bool:
        """Say whether it is time to look."""
        return now >= self._next

    def looked(self, began: float, now: float, sharers: int) -> None:
        """Put off the next look after one that lasted from then until now."""
        took = now - began
        dear, self._last_took = min(took, self._last_took), took
        pause = max(_EVERY_SECONDS * sharers, dear / _SHARE)
        self._next = now + pause * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
