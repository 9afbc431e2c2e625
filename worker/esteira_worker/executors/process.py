"""Plain functions, in processes of their own: a timeout or a cancel kills the process and all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from esteira import Task
from esteira.running import Claimed
from esteira_worker.channel import Channel
from esteira_worker.endings import Ending, process_died
from esteira_worker.messages import claimed_fields, ending_from


class ProcessExecutor:
    """Keep processes that have imported the tasks, one a running job, and use them again."""

    def __init__(self, database_url: str, session_name: str, modules: Sequence[str]) -> None:
        self._start = {"database_url": database_url, "session_name": session_name, "modules": list(modules)}
        self._idle: list[_Child] = []

    async def run(self, job: Claimed, task: Task[..., Any]) -> Ending:
        """Run the attempt; cancelling it kills the process with its descendants. A process that dies is a failure of its job."""
        child = self._idle.pop() if self._idle else await _Child.start(self._start)
        try:
            child.channel.send("run", **claimed_fields(job))
            message = await child.channel.receive()
        except asyncio.CancelledError:
            child.kill()
            raise
        if message is None:
            return process_died(await child.gone())
        self._idle.append(child)
        return ending_from(message)

    def leftover(self, job: Claimed) -> asyncio.Future[Any] | None:
        """Return None: a killed process is gone."""
        return None

    async def close(self) -> None:
        """End the idle processes."""
        for child in self._idle:
            child.kill()
            await child.gone()


class _Child:
    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self._process = process
        self.channel = channel

    @classmethod
    async def start(cls, fields: dict[str, Any]) -> _Child:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "esteira_worker.executors.child", str(theirs.fileno()), str(os.getpid()),
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        child = cls(process, await Channel.open(ours))
        child.channel.send("start", **fields)
        return child

    def kill(self) -> None:
        # It leads a session of its own, so this reaches its descendants too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.channel.close()

    async def gone(self) -> int:
        """Return the exit code once it has ended; negative is a signal."""
        self.channel.close()
        return await self._process.wait()
