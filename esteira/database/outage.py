"""That the database is away, said once by each process, and once that it is back, however many wait for it."""

from __future__ import annotations

import time

import structlog

_REPEAT_SECONDS = 60.0
log = structlog.get_logger()


class Outage:
    """Gather what all loops of a process notice: the first failure begins it, and it ends when none is left waiting."""

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._began = self._said = 0.0

    def failed(self, what: str, error: BaseException) -> None:
        """Hear that something of this name could not be done, and will be tried again."""
        now, why = time.monotonic(), str(error) or type(error).__name__
        if not self._waiting:
            self._began = self._said = now
            log.warning("database_away", noticed_by=what, error=why, detail="waiting for it; all goes on by itself")
        elif now - self._said >= _REPEAT_SECONDS:
            self._said = now
            log.warning("database_still_away", away_seconds=round(now - self._began), error=why)
        self._waiting.add(what)

    def succeeded(self, what: str) -> None:
        """Hear that something of this name was done."""
        if what in self._waiting:
            self._waiting.remove(what)
            if not self._waiting:
                log.info("database_back", away_seconds=round(time.monotonic() - self._began, 1))


outage = Outage()
