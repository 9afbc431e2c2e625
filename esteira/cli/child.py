"""A process of `esteira dev`: its log is passed on, line by line, and it never outlives us.

Run as a module, `python -P -m esteira.cli.child PARENT COMMAND …` is `esteira COMMAND …` that ends with its parent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

HURRY_SECONDS = 10.0


class Child:
    """Run an Esteira command beside us. Leaving the block stops it and waits for its end."""

    def __init__(self, command: str, environment: Mapping[str, str], *, patience: float) -> None:
        """`patience`: seconds that it may take to end after SIGTERM, before it is killed."""
        self.name = command
        self._patience = patience
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            # -P: the current directory, where task modules are, does not come before installed packages.
            [sys.executable, "-P", "-m", __name__, str(os.getpid()), command],
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C must reach us alone: we stop the worker first, then the service, then the database.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._log = Thread(target=self._pass_on, name=f"log-of-{command}", daemon=True)
        self._log.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def returncode(self) -> int | None:
        """Return how it ended, as subprocess does; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to end; after its patience, or on another Ctrl-C, ask it to hurry; then kill it with all its own."""
        if not (self._ends_within(self._patience) or self._ends_within(HURRY_SECONDS)):
            self._kill()
        # What it said last; a process of its own that still holds the pipe must not hold us.
        self._log.join(timeout=2)

    def _ends_within(self, seconds: float) -> bool:
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            return False
        return True

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def _pass_on(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            sys.stderr.write(f"{self.name:<7}| {line.decode(errors='replace')}")
            sys.stderr.flush()


def run(parent: int, command: list[str]) -> None:
    """Be `esteira COMMAND` for as long as the parent lives."""
    from esteira.cli import app
    from esteira.embedded.guard import die_with_parent

    if sys.platform == "linux":
        die_with_parent(parent)
    app(command, prog_name="esteira")


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2:])
