"""Tell the workers about new jobs, after the commit and not too often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import structlog

from esteira.database import Database, SyncDatabase
from esteira.errors import EsteiraError
from esteira.new_job import NOTIFY

# For a producer without a pause, whose workers are busy anyway: with 2 ms notifications were 8 % of its time.
PAUSE_SECONDS = 0.005
# Commits that notify take turns, so those of a producer without a pause do not: 16 clients enqueued 3,200 jobs a second
# instead of 4,600 where all did and a flush took 2 ms. One that pauses leaves room: of 500 jobs a second each tells of
# itself, and 16 clients with 220 a second each cost no more than with notifications of their own.
QUIET_SECONDS = 0.001
log = structlog.get_logger()


class _Pace:
    """Know whether jobs are few. Then each tells the workers of itself as it commits, which saves a round trip."""

    _last = float("-inf")

    def with_commit(self) -> bool:
        """Tell whether a job about to be enqueued is to tell the workers as it commits.

        It is if for 1 ms nobody asked this or had something to tell: of many jobs at once, one does.
        """
        before, self._last = self._last, time.monotonic()
        return self._last - before >= QUIET_SECONDS


class Notifier(_Pace):
    """Send one notification a queue at once, then at most one per 5 ms, and always a trailing one.

    A notification is a hint: workers poll every second anyway, so one that cannot be sent is logged and forgotten.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    def notify(self, queues: Iterable[str], *, notified: bool = False) -> None:
        """Note that these queues have something new, of which the workers may have heard; returns at once."""
        self._last = time.monotonic()
        if notified:
            return
        self._queues.update(queues)
        if self._queues and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Wait until what was noted has been sent."""
        if self._sending is not None and self._sending.get_loop() is asyncio.get_running_loop():
            await self._sending

    async def _send(self) -> None:
        while self._queues:
            queues, self._queues = list(self._queues), set()
            try:
                await self._database.fetch(NOTIFY, queues)
            except EsteiraError as error:
                log.warning("notify_failed", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)


class SyncNotifier(_Pace):
    """Send a notification after each commit that sent none: a caller that blocks has none to gather.

    Whose last job took less than 1 ms waits for nobody's commit, so the next one tells of itself as well.
    """

    def __init__(self, database: SyncDatabase) -> None:
        self._database = database
        self._asked = float("-inf")
        self._commits_fast = False

    def with_commit(self) -> bool:
        """Tell whether a job to be enqueued is to tell the workers as it commits: after a pause, or a quick one."""
        paused, self._asked = super().with_commit(), self._last
        return paused or self._commits_fast

    def notify(self, queues: Iterable[str], *, notified: bool = False) -> None:
        """Tell that these queues have something new, unless the workers have heard."""
        self._last = time.monotonic()
        self._commits_fast = self._last - self._asked < QUIET_SECONDS
        told = set(queues)
        if notified or not told:
            return
        try:
            self._database.fetch(NOTIFY, told)
        except EsteiraError as error:
            log.warning("notify_failed", error=str(error))
        # A caller that only waited for this did not pause.
        self._last = time.monotonic()

    def close(self) -> None:
        """Do nothing: all has been sent."""
