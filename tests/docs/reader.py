"""Somebody who reads a page and types what it says, in a shell and in psql."""

from __future__ import annotations

import os
import re
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx
import psycopg

SECONDS = 200.0  # a block of nine commands on a machine that has much else to do
# How psql says that a statement, or a command of its own, went wrong.
WRONG = re.compile(r"^(ERROR|FATAL|PANIC): |^invalid command |^\\\S+: |error:", re.MULTILINE)
MARK = "--- this block is over:"


class Terminal:
    """A program that is typed into, block by block. The end of a block is where it echoes our mark."""

    def __init__(self, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT
        )

    def type(self, text: str) -> tuple[str, str]:
        """Type something that echoes the mark at its end; returns what came before it, and what stands behind it."""
        assert self._process.stdin
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()
        came = self._read()
        before, mark, behind = came.rpartition(MARK)
        assert mark, f"{text}\nended the session:\n{came}"
        return before.rstrip("\n"), behind.strip()

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read(self) -> str:
        assert self._process.stdout
        came = b""
        deadline = time.monotonic() + SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not (MARK.encode() in came and came.endswith(b"\n")):
                assert selector.select(deadline - time.monotonic()), f"no end in {SECONDS:.0f} s:\n{came.decode()}"
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    break
                came += chunk
        return came.decode()


class Reader:
    """Two terminals and what was started in others, in one folder and one environment."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._stack = ExitStack()
        self._open: dict[str, Terminal] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def sh(self, text: str) -> tuple[str, bool]:
        """Return what a block of commands printed, and whether all of them ended well."""
        shell = self._terminal("sh", ["bash", "--noprofile", "--norc"], "set -E; trap 'failed=1' ERR\n")
        line = f'failed=0\n{{\n{self._here(text)}\n}} </dev/null\necho "{MARK} $failed"\n'
        came, failed = shell.type(line)
        return came, failed == "0"

    def sql(self, text: str) -> tuple[str, bool]:
        """Return what a block of SQL printed, and whether it went well."""
        url = self._environment["ESTEIRA_DATABASE_URL"]
        psql = self._terminal("sql", ["psql", "-X", "-q", "-d", url])
        came, _ = psql.type(f"{text}\\echo {MARK}\n")
        return came, not WRONG.search(came)

    def start(self, text: str) -> None:
        """Start something that runs until the page ends, and wait until it serves or works."""
        port = free_port()
        workers = self._workers()
        process = self._stack.enter_context(
            subprocess.Popen(
                ["bash", "-c", text],
                cwd=self._folder,
                env={**self._environment, "ESTEIRA_PORT": str(port)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        self._stack.callback(stop, process)
        until(lambda: process.poll() is not None or answers(port) or self._workers() > workers, text)
        assert process.poll() is None, f"{text}ended by itself"

    def _terminal(self, name: str, command: Sequence[str], begin: str = "") -> Terminal:
        if name not in self._open:
            self._open[name] = Terminal(command, self._folder, self._environment)
            self._stack.callback(self._open[name].close)
            if begin:
                self._open[name].type(f"{begin}echo '{MARK}'\n")
        return self._open[name]

    def _here(self, text: str) -> str:
        return at_port(text, self._environment["ESTEIRA_PORT"])

    def _workers(self) -> int:
        with psycopg.connect(self._environment["ESTEIRA_DATABASE_URL"]) as db:
            if not db.execute("select to_regclass('esteira.worker')").fetchall()[0][0]:
                return 0
            return int(db.execute("select count(*) from esteira.worker").fetchall()[0][0])


def until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < deadline, f"not within {SECONDS:.0f} s: {what}"
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(SECONDS)


def at_port(text: str, port: str) -> str:
    """The pages say 8000, where something else may listen."""
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
