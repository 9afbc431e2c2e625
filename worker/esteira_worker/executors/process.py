"""Plain functions, in processes of their own: a timeout or a cancel kills the process and all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from esteira import Task
from esteira.running import Claimed
from esteira.settings import Settings
from esteira_worker.channel import Channel
from esteira_worker.endings import Ending, process_died
from esteira_worker.messages import claimed_fields, ending_from

# A process that hung up is given this long to end by itself, so that its own exit code can be told.
_LAST_BREATH_SECONDS = 2.0


class ProcessExecutor:
    """Keep processes that have imported the tasks, one a running job, and use them again.

    tell: hears of each that starts and ends, `child_started` and `child_ended` with its pid: whoever buries this
    process has to end what they started.
    """

    def __init__(self, settings: Settings, session_name: str, tell: Callable[..., None]) -> None:
        self._start = {"settings": settings.model_dump(mode="json"), "session_name": session_name}
        self._tell = tell
        self._idle: list[_Child] = []

    async def run(self, job: Claimed, _task: Task[..., Any]) -> Ending:
        """Run the attempt; cancelling it kills the process and its descendants. A process that dies fails its job."""
        child = await self._take()
        try:
            message = await child.ask(claimed_fields(job))
        except asyncio.CancelledError:
            child.kill()
            raise
        if message is None:
            return process_died(await child.gone())
        if "last" not in message:
            # Not from our code: the function wrote to the socket.
            child.kill()
            return process_died(await child.gone())
        if message.pop("last"):
            child.kill()
        else:
            self._idle.append(child)
        return ending_from(message)

    def leftover(self, _job: Claimed) -> asyncio.Future[Any] | None:
        """Return None: a killed process is gone."""
        return None

    async def close(self) -> None:
        """End the idle processes."""
        for child in self._idle:
            child.kill()
            await child.gone()

    async def _take(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive():
                return child
            child.kill()
        starting = asyncio.ensure_future(_Child.start(self._start, self._tell))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Cancelled halfway, the process would be nobody's.
            starting.add_done_callback(self._keep)
            raise

    def _keep(self, starting: asyncio.Future[_Child]) -> None:
        if not starting.cancelled() and starting.exception() is None:
            self._idle.append(starting.result())


class _Child:
    def __init__(self, process: asyncio.subprocess.Process, channel: Channel, tell: Callable[..., None]) -> None:
        self._process = process
        self._tell = tell
        self.channel = channel

    @classmethod
    async def start(cls, fields: dict[str, Any], tell: Callable[..., None]) -> _Child:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "esteira_worker.executors.child", str(theirs.fileno()), str(os.getpid()),
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        tell("child_started", pid=process.pid)
        child = cls(process, await Channel.open(ours), tell)
        child.channel.send("start", **fields)
        return child

    async def ask(self, fields: dict[str, Any]) -> dict[str, Any] | None:
        """Have it run a job and return its answer; None: it died. What it forked may hold on to the socket."""
        self.channel.send("run", **fields)
        answer = asyncio.ensure_future(self.channel.receive())
        death = asyncio.ensure_future(self._process.wait())
        try:
            await asyncio.wait([answer, death], return_when=asyncio.FIRST_COMPLETED)
            # What it wrote before it died may not have been read yet.
            await asyncio.wait([answer], timeout=_LAST_BREATH_SECONDS)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()
            death.cancel()

    def is_alive(self) -> bool:
        return self._process.returncode is None and not self.channel.is_closed()

    def kill(self) -> None:
        # It leads a session of its own, so this reaches its descendants too, also where it is gone itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._tell("child_ended", pid=self._process.pid)
        self.channel.close()

    async def gone(self) -> int:
        """Return the exit code once it and its descendants have ended; negative is a signal."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_BREATH_SECONDS):
                await self._process.wait()
        self.kill()
        return await self._process.wait()
