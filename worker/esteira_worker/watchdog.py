"""A thread that says where the event loop stands when it does not turn: the loop itself cannot."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from contextvars import copy_context

import structlog

# Looks, not time: a process that was suspended as a whole has not blocked its loop.
_LOOK_SECONDS = 0.25
_LOOKS = 5
_FRAMES = 12
log = structlog.get_logger()


class Watchdog:
    """Watch the loop of the thread that makes it. `running` names the tasks that run now."""

    def __init__(self, running: Callable[[], list[str]]) -> None:
        self._running = running
        self._watched = threading.get_ident()
        self._turns = 0
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to look; the thread keeps no process from ending."""
        # With the context's worker and engine in its log lines.
        threading.Thread(target=copy_context().run, args=[self._watch], name="watchdog", daemon=True).start()

    def turned(self) -> None:
        """Note that the loop turns; to be called several times a second."""
        self._turns += 1

    def end(self) -> None:
        """Look no more."""
        self._ended.set()

    def _watch(self) -> None:
        seen, looks = self._turns, 0
        while not self._ended.wait(_LOOK_SECONDS):
            if self._turns == seen:
                looks += 1
                if looks == _LOOKS:
                    self._tell()
                continue
            if looks >= _LOOKS:
                log.warning("loop_turns_again", blocked_seconds=round(looks * _LOOK_SECONDS, 1))
            seen, looks = self._turns, 0

    def _tell(self) -> None:
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - the documented way to another thread's stack
        log.warning(
            "loop_blocked",
            tasks=self._running(),
            stack="".join(traceback.format_stack(frame, _FRAMES)),
            hint="await asyncio.to_thread(…) what blocks, or make the handler a plain function",
        )
