"""When to look again for what nobody tells, where a look may be dear."""

from __future__ import annotations

import math
import random

_EVERY_SECONDS = 1.0
# As many times as long as a look took, it is left alone.
_TIMES = 20
_LONGEST_SECONDS = 60.0


class Spacing:
    """Look about once a second over all who share it; where looks are dear, for at most a twentieth of one's time.

    One dear look alone does not count: it waited for a lock, or the server stood still, and what is late must not wait
    20 times that, nor ever longer than a minute but for the others' turns.
    """

    def __init__(self) -> None:
        self._looked = -math.inf
        self._took = self._dear = 0.0
        self._jitter = 1.0

    def due(self, now: float, sharers: int) -> bool:
        """Say whether it is time to look, with so many who share it."""
        pause = max(_EVERY_SECONDS * sharers, min(_LONGEST_SECONDS, _TIMES * self._dear))
        return now >= self._looked + pause * self._jitter

    def looked(self, began: float, now: float) -> None:
        """Note a look, from then until now."""
        took = now - began
        self._dear, self._took = min(took, self._took), took
        self._looked, self._jitter = now, random.uniform(0.8, 1.2)  # noqa: S311 - no secret
