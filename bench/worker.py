"""Worker processes of any system: started, watched, stopped in good order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.system import ROOT, Command

STOP_SECONDS = 15
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Memory:
    """MB of all processes together: resident, and shared with no other; and resident of the largest."""

    resident_mb: float
    private_mb: float
    largest_mb: float


class Worker:
    """The processes of one or more workers, with all that they started."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
        self.processes = processes
        self._log = log
        self._samples: list[tuple[float, float]] = []

    def check_alive(self) -> None:
        """Raise RuntimeError with its last lines where a worker ended by itself with an error."""
        for process in self.processes:
            if process.poll():
                raise RuntimeError(f"a worker ended with {process.returncode}: {self._log.read_text()[-2000:]}")

    def sample(self, *, at_least: float = 0) -> None:
        """Note how much processor time the processes have used by now, where the last note is so many seconds old."""
        if self._samples and time.monotonic() - self._samples[-1][0] < at_least:
            return
        times = [_cpu(process) for process in self._tree()]
        self._samples.append((time.monotonic(), sum(times)))

    def cpu_since(self, moment: float) -> float:
        """Return the processor seconds used since a moment (monotonic), read between the two samples around it."""
        after = min(bisect_left(self._samples, (moment, 0.0)), len(self._samples) - 1)
        (t0, c0), (t1, c1) = self._samples[max(0, after - 1)], self._samples[after]
        share = (moment - t0) / (t1 - t0) if t1 > t0 else 1.0
        return self._samples[-1][1] - (c0 + (c1 - c0) * min(1.0, max(0.0, share)))

    def memory(self) -> Memory:
        """Read what the processes hold now."""
        found = []
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                found.append(process.memory_full_info())
        resident = [memory.rss / MEGABYTE for memory in found]
        return Memory(sum(resident), sum(memory.uss for memory in found) / MEGABYTE, max(resident, default=0))

    def _tree(self) -> list[psutil.Process]:
        found = []
        for started in self.processes:
            try:
                process = psutil.Process(started.pid)
                found += [process, *process.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        return found


@asynccontextmanager
async def working(commands: Sequence[Command], environment: Mapping[str, str], log: Path) -> AsyncIterator[Worker]:
    """Run workers, each in a process group of its own."""
    with ExitStack() as stack:
        output = stack.enter_context(log.open("ab"))
        processes = [
            subprocess.Popen(  # noqa: ASYNC220  (nothing else runs meanwhile)
                command.arguments,
                env={**os.environ, **environment, **command.environment},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            for command in commands
        ]
        try:
            yield Worker(processes, log)
        finally:
            await asyncio.gather(*(asyncio.to_thread(_stop, process) for process in processes))


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):  # nobody of its group outlives it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
