"""An engine, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import Any
from uuid import UUID

from esteira.errors import ConfigurationError
from esteira.settings import Settings
from esteira_worker.channel import Channel


class EngineProcess:
    """Start an engine, talk to it, and see its end."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.channel = channel
        self._process = process

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

    async def ended(self) -> str:
        """Wait for its end and say how it ended."""
        code = await self._process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    def kill(self) -> None:
        """Kill it, if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
        self.channel.close()
