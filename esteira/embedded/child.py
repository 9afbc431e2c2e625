"""Starting PostgreSQL's programs: as the right account, and so that none outlives this process."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, BinaryIO

from esteira.embedded.errors import EmbeddedPostgresError

if TYPE_CHECKING:
    import signal

    from esteira.embedded.account import Account

GUARD = Path(__file__).with_name("guard.py")


def environment(**extra: str) -> dict[str, str]:
    """Return ours without PG* variables, which would steer PostgreSQL's programs elsewhere; in English and UTC."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**ours, "LC_ALL": "C", "TZ": "UTC", **extra}


def guarded(account: Account, data_dir: Path, *command: str | Path) -> list[str]:
    """Return the command line that runs `command` through guard.py."""
    # Isolated and without site packages, the guard starts in 20 ms and nobody's PYTHONPATH runs in it.
    guard = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(account.uid), str(account.gid)]
    return [*guard, str(data_dir), *map(str, command)]


def run(command: list[str], **extra: str) -> None:
    """Run a program to its end, with `extra` in its environment. Raises EmbeddedPostgresError with what it said."""
    env = environment(**extra)
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", check=False)  # noqa: S603
    if done.returncode != 0:
        raise EmbeddedPostgresError(done.stderr.strip())


class Child:
    """A process whose parent is a thread that lives exactly as long as it does.

    Linux sends the parent-death signal when the *thread* that forked ends, so a server started from a pool's thread
    would die with that thread. Hence one of its own, a daemon: it ends with the server or with this whole process.
    """

    def __init__(self, command: list[str], output: BinaryIO) -> None:
        self.exited = Event()
        started: Future[subprocess.Popen[bytes]] = Future()
        Thread(target=self._keep, args=(command, output, started), name="embedded-postgres", daemon=True).start()
        self._process = started.result()
        self.pid = self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        self._process.send_signal(number)

    def _keep(self, command: list[str], output: BinaryIO, started: Future[subprocess.Popen[bytes]]) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603  # the command is ours
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(),
                cwd="/",  # ours may be closed to the server's account
                start_new_session=True,  # Ctrl-C must reach us first: whoever uses the server stops before it
            )
        except OSError as error:
            started.set_exception(error)
            return
        started.set_result(process)
        process.wait()
        self.exited.set()
