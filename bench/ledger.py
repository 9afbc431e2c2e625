"""What handlers saw: which job began when, in memory first, every hundredth of a second in a file of each process.

Two floats a job, its number and time.monotonic(), which is one clock for all processes of a machine. It costs a handler
0.2 µs. The peers' programs import this too: nothing but the standard library.
"""

from __future__ import annotations

import os
import threading
import time
from array import array
from pathlib import Path

FOLDER = "BENCH_LEDGER"
RECORD_BYTES = 16
FLUSH_SECONDS = 0.01

_seen: array[float] = array("d")
_flushing: list[threading.Thread] = []


def saw(number: float, moment: float | None = None) -> None:
    """Note that the job of this number begins: now, unless another moment is given."""
    _seen.extend((number, moment or time.monotonic()))
    if not _flushing:
        _flush_from_now_on()


def _flush_from_now_on() -> None:
    _flushing.append(threading.Thread(target=_flush_forever, daemon=True))
    _flushing[0].start()


def _forget_the_parents() -> None:
    del _seen[:], _flushing[:]


os.register_at_fork(after_in_child=_forget_the_parents)


def _flush_forever() -> None:
    with (Path(os.environ[FOLDER]) / f"{os.getpid()}.seen").open("ab", buffering=0) as file:
        while True:
            time.sleep(FLUSH_SECONDS)
            if taken := _seen[:]:
                file.write(taken.tobytes())
                del _seen[: len(taken)]


class Ledger:
    """Read what the handlers of one system saw."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def count(self) -> int:
        """Return how many handlers began since the last clear()."""
        return sum(file.stat().st_size for file in self.folder.iterdir()) // RECORD_BYTES

    def read(self) -> list[tuple[int, float]]:
        """Return (number, monotonic seconds) of each handler that began, in the order of time."""
        seen: array[float] = array("d")
        for file in self.folder.iterdir():
            seen.frombytes(file.read_bytes())
        numbers = (int(number) for number in seen[::2])
        return sorted(zip(numbers, seen[1::2], strict=True), key=lambda record: record[1])

    def clear(self) -> None:
        """Forget what was seen. Workers that go on append to the same files."""
        for file in self.folder.iterdir():
            os.truncate(file, 0)


class NotExactlyOnceError(AssertionError):
    """Jobs were lost or ran more than once, so that no figure of this round counts."""


def check_exactly_once(numbers: list[int], expected: range) -> None:
    """Raise NotExactlyOnceError unless these are the expected numbers, each once."""
    distinct = set(numbers)
    lost, foreign = set(expected) - distinct, distinct - set(expected)
    doubled = len(numbers) - len(distinct)
    if lost or doubled or foreign:
        raise NotExactlyOnceError(
            f"of {len(expected):,} jobs {len(lost):,} never ran, {doubled:,} runs were one too many,"
            f" {len(foreign):,} ran that nobody enqueued; never ran: {sorted(lost)[:5]}"
        )
