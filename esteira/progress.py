"""Progress, coalesced: written at once, then at most four times a second, the latest in any case."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import structlog

from esteira.database import Database, SyncDatabase
from esteira.errors import EsteiraError
from esteira.running import PROGRESS, Claimed

INTERVAL_SECONDS = 0.25
_PATIENCE_SECONDS = 5.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Note:
    """What there is to write; None leaves a value as it is."""

    share: float | None = None
    message: str | None = None
    step: str | None = None

    def __bool__(self) -> bool:
        return self != _NOTHING

    def over(self, older: Note) -> Note:
        """Return both in one, where this one has the last word."""
        return Note(
            older.share if self.share is None else self.share,
            older.message if self.message is None else self.message,
            older.step if self.step is None else self.step,
        )


_NOTHING = Note()


class Progress:
    """The progress of an attempt on the loop. A database that is away costs progress, not the job."""

    def __init__(self, job: Claimed, database: Database) -> None:
        self._job = job
        self._database = database
        self._pending = _NOTHING
        self._written_at = float("-inf")
        self._writing = asyncio.Lock()
        self._trailing: asyncio.Task[None] | None = None
        self.lost = False

    def note(self, note: Note) -> None:
        """Take a note; it is written soon."""
        self._pending = note.over(self._pending)
        if self._trailing is None or self._trailing.done():
            self._trailing = asyncio.create_task(self._trail())

    async def flush(self) -> bool:
        """Write what is left; False where it could not be written."""
        async with self._writing:
            note, self._pending = self._pending, _NOTHING
            if not note or self.lost:
                return True
            self._written_at = time.monotonic()
            written = False
            try:
                self.lost = not await self._database.fetchval(
                    PROGRESS, self._job.id, self._job.attempt, note.share, note.message, note.step,
                    patience=_PATIENCE_SECONDS,
                )  # fmt: skip
                written = True
            except EsteiraError as error:
                _report(self._job, error)
            finally:
                if not written:
                    self._pending = self._pending.over(note)
            return written

    async def close(self) -> None:
        """Write what is left, and stop."""
        await self.flush()
        self.discard()

    def discard(self) -> None:
        """Stop without writing."""
        if self._trailing is not None:
            self._trailing.cancel()

    async def _trail(self) -> None:
        while self._pending:
            await asyncio.sleep(max(0.0, self._written_at + INTERVAL_SECONDS - time.monotonic()))
            if not await self.flush():
                # The next note, or the end, tries again.
                return


class SyncProgress:
    """The progress of an attempt in a thread: a note is written at once, or by a timer when its time has come."""

    def __init__(self, job: Claimed, database: SyncDatabase) -> None:
        self._job = job
        self._database = database
        self._pending = _NOTHING
        self._written_at = float("-inf")
        self._noting = threading.Lock()
        self._writing = threading.Lock()
        self._timer: threading.Timer | None = None
        self.lost = False

    def note(self, note: Note) -> None:
        """Take a note; it is written now or soon."""
        with self._noting:
            self._pending = note.over(self._pending)
            if self._timer is not None:
                return
            wait = self._written_at + INTERVAL_SECONDS - time.monotonic()
            if wait > 0:
                self._timer = threading.Timer(wait, self.flush)
                self._timer.daemon = True
                self._timer.start()
                return
        self.flush()

    def flush(self) -> None:
        """Write what is left."""
        with self._writing:
            note = self._take()
            if not note or self.lost:
                return
            try:
                self.lost = not self._database.fetchval(
                    PROGRESS, self._job.id, self._job.attempt, note.share, note.message, note.step,
                    patience=_PATIENCE_SECONDS,
                )  # fmt: skip
            except EsteiraError as error:
                _report(self._job, error)
                with self._noting:
                    self._pending = self._pending.over(note)

    def discard(self) -> None:
        """Stop without writing."""
        self._take()

    def _take(self) -> Note:
        with self._noting:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            note, self._pending = self._pending, _NOTHING
            if note:
                self._written_at = time.monotonic()
            return note


def _report(job: Claimed, error: EsteiraError) -> None:
    log.warning("progress_not_written", job_id=str(job.id), attempt=job.attempt, error=str(error))
