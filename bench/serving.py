"""Programs that answer over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from bench.system import ROOT


@contextmanager
def serving(module: str, url: str) -> Iterator[str]:
    """Run a program that answers over HTTP, and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "ESTEIRA_DATABASE_URL": url,
        "ESTEIRA_PORT": str(port),
        "ESTEIRA_LOG_LEVEL": "critical",
    }
    with subprocess.Popen([sys.executable, "-m", module], env=environment, cwd=ROOT) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _await_answer(address, process)
            yield address
        finally:
            process.terminate()


def _await_answer(address: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            httpx.get(f"{address}/livez", timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
