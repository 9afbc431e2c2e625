"""What a queue has to give so that it can be measured: a file in systems/ with a SYSTEM in it.

The file has two halves. The object SYSTEM is used here; it says which commands are its client and its workers. Those
run in the system's own environment; for a Python peer they are the same file: `python -m bench.systems.NAME client`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bench.servers import Place

ROOT = Path(__file__).parents[1]
# Jobs at once in a worker whose handlers wait: the same for all.
WAITING_SLOTS = 100


class MissingError(Exception):
    """The system cannot be measured here; the message says why and what to install."""


@dataclass(frozen=True)
class Command:
    """A program to start, and what its environment has besides ours."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """What a system's own tables say: jobs that have not ended, future ones too; jobs kept as done, None if deleted."""

    left: int
    done: int | None


class System(Protocol):
    """A queue."""

    @property
    def name(self) -> str:
        """What the table calls it."""

    @property
    def settings(self) -> str:
        """Its tuning, as people are to read it; the reasons stand beside the code."""

    @property
    def pace(self) -> int:
        """About how many no-op jobs a second a worker drains: sizes of rounds follow from it, nothing else."""

    @property
    def handles(self) -> bool:
        """Whether there are handlers, or only the queue's part of a job."""

    @property
    def on_postgres(self) -> bool:
        """Whether its jobs are in PostgreSQL, whose counters then tell what they cost."""

    @property
    def cannot(self) -> Mapping[str, str]:
        """Scenarios that make no sense for it, with the reason."""

    def version(self) -> str:
        """Return the installed version. Raises MissingError."""

    def client(self, place: Place) -> Command:
        """Return the program that speaks program.py's protocol."""

    def workers(self, place: Place, processes: int, slots: int | None) -> list[Command]:
        """Return the workers; slots: jobs at once of each, or None for what is best for no-op jobs."""

    async def settled(self, place: Place) -> bool:
        """Say whether nothing that is due is left, by a question that costs the database little."""

    async def counts(self, place: Place) -> Counts:
        """Count the system's own tables, whatever it costs."""

    async def finish(self, place: Place, rows: int) -> bool:
        """Write so many finished jobs by SQL, where the system keeps them; otherwise return False."""


def python(interpreter: str | Path, module: str, *arguments: str, **environment: str) -> Command:
    """Return the command that runs a module of this repository with an interpreter."""
    return Command((str(interpreter), "-P", "-m", module, *arguments), {"PYTHONPATH": str(ROOT), **environment})


def own_python(module: str, *arguments: str, **environment: str) -> Command:
    """Return the command that runs a module in the environment that the harness runs in."""
    return python(sys.executable, module, *arguments, **environment)


def database_url() -> str:
    """Return the address that a client or worker was started with."""
    return os.environ["BENCH_URL"]
