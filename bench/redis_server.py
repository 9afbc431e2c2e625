"""Redis, for the peer that needs it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.system import MissingError

# As durable as a commit of PostgreSQL. By its defaults Redis has no log, and one that is flushed once a second.
SETTINGS = {"save": "", "appendonly": "yes", "appendfsync": "always"}
START_SECONDS = 10


def require() -> None:
    """Raise MissingError where there is no Redis."""
    if shutil.which("redis-server") is None:
        raise MissingError("there is no redis-server here; on Debian: apt-get install redis-server")


@contextmanager
def started(folder: Path) -> Iterator[int]:
    """Run Redis with its files in the folder, and yield its port. Raises MissingError."""
    require()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    data = folder / "redis"
    data.mkdir()
    settings = {"bind": "127.0.0.1", "port": str(port), "dir": str(data), **SETTINGS}
    command = ["redis-server", *(part for name, value in settings.items() for part in (f"--{name}", value))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _await_port(port, server)
            yield port
        finally:
            server.terminate()


async def ask(port: int, *command: str) -> str:
    """Ask Redis through the command line that comes with it."""
    process = await asyncio.create_subprocess_exec(
        "redis-cli", "-p", str(port), *command, stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await process.communicate()
    return answer.decode().strip()


def _await_port(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise MissingError(f"redis-server did not start; it ended with {server.poll()}")
