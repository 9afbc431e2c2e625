"""An engine, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from typing import Any
from uuid import UUID

from esteira.errors import ConfigurationError
from esteira.settings import Settings
from esteira_worker.channel import Channel

_LAST_WORDS_SECONDS = 1.0
# An engine reports twice a second.
_LOOP_SECONDS = 2.0
# Where it has nothing to claim, its claim loop comes round once a second.
_CLAIMS_SECONDS = 10.0


class EngineProcess:
    """Start an engine, talk to it, and see its end."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.channel = channel
        self.held = 0
        self._process = process
        self._heard_at = 0.0
        self._claims_seconds = 0.0
        self._listening: asyncio.Task[None] | None = None
        self._children: set[int] = set()

    @classmethod
    async def start(cls, number: int, worker_id: UUID, settings: Settings) -> EngineProcess:
        """Start the process; user code is imported there and nowhere else."""
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: the current directory must not stand in front of installed packages.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "esteira_worker.engine", str(theirs.fileno()), str(os.getpid()),
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        engine = cls(number, process, await Channel.open(ours))
        engine.channel.send("start", settings=settings.model_dump(mode="json"), worker_id=str(worker_id), engine=number)
        return engine

    async def ready(self) -> list[dict[str, Any]]:
        """Wait until it has imported the tasks, and return their declarations.

        Raises ConfigurationError where it cannot import them.
        """
        message = await self.channel.receive()
        if message is None:
            how = await self.ended()
            raise ConfigurationError(
                f"the engine process {how} while it imported the tasks; its traceback stands above"
            )
        if message["kind"] == "unfit":
            raise ConfigurationError(message["error"])
        tasks: list[dict[str, Any]] = message["tasks"]
        return tasks

    def go(self) -> None:
        """Let it work, and listen to what it reports."""
        self._heard_at = asyncio.get_running_loop().time()
        self.channel.send("go")
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while (message := await self.channel.receive()) is not None:
            match message["kind"]:
                case "state":
                    self._heard_at = asyncio.get_running_loop().time()
                    self.held, self._claims_seconds = message["held"], message["claims_seconds"]
                case "child_started":
                    self._children.add(message["pid"])
                case "child_ended":
                    self._children.discard(message["pid"])

    def stalled(self) -> tuple[str, float] | None:
        """Return what stands still in it, "loop" or "claims", and for how many seconds."""
        silent = asyncio.get_running_loop().time() - self._heard_at
        if self._listening is not None and silent > _LOOP_SECONDS:
            return "loop", silent
        if self._claims_seconds > _CLAIMS_SECONDS:
            return "claims", self._claims_seconds
        return None

    async def ended(self) -> str:
        """Wait for its end and say how it ended."""
        code = await self._process.wait()
        if self._listening is not None:
            # Its last words may not have been read.
            await asyncio.wait([self._listening], timeout=_LAST_WORDS_SECONDS)
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """Kill it, if it still runs, and what its processes started: they themselves die with it."""
        if self._process.returncode is None:
            self._process.kill()
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        self._children.clear()
        if self._listening is not None:
            self._listening.cancel()
        self.channel.close()
