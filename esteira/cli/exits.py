"""How a command ends: an exit code for scripts, and for people one sentence on stderr that says what to do next."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from esteira.errors import (
    Changed,
    ConfigurationError,
    DatabaseUnavailable,
    EsteiraError,
    IdempotencyMismatch,
    IllegalTransition,
    InvalidInput,
    JobCancelled,
    JobFailed,
    JobNotFound,
    KeyInFlight,
    UniqueConflict,
    UnknownTask,
    UnknownWorker,
)

if TYPE_CHECKING:
    from esteira.job import Job


class Exit(IntEnum):
    """Name every exit code."""

    FINE = 0
    DEAD = 1
    USAGE = 2
    NOT_FOUND = 3
    WRONG_STATUS = 4
    DATABASE = 5
    CANCELLED = 6
    PROCESS_ENDED = 7
    CONFLICT = 8
    INTERRUPTED = 130


MEANINGS = {
    Exit.FINE: "all went well",
    Exit.DEAD: "the awaited job is dead; `doctor` found a problem, `history check` a breach; or a defect",
    Exit.USAGE: "an option, an argument, a setting or a value makes no sense",
    Exit.NOT_FOUND: "no such job, task or worker",
    Exit.WRONG_STATUS: "the job's status does not allow it",
    Exit.DATABASE: "the database is unavailable, lacks this version's schema, or its account lacks a right",
    Exit.CANCELLED: "the awaited job was cancelled",
    Exit.PROCESS_ENDED: "a process of `esteira dev` ended by itself",
    Exit.CONFLICT: "another job has the unique or idempotency key",
    Exit.INTERRUPTED: "interrupted (Ctrl-C), or not confirmed",
}
EPILOG = "\n".join(["Exit codes:", *(f"{code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())])

_CODES: tuple[tuple[type[EsteiraError], Exit], ...] = (
    (JobNotFound, Exit.NOT_FOUND),
    (IllegalTransition, Exit.WRONG_STATUS),
    (JobFailed, Exit.DEAD),
    (JobCancelled, Exit.CANCELLED),
    (ConfigurationError, Exit.USAGE),
    (InvalidInput, Exit.USAGE),
    (UnknownTask, Exit.NOT_FOUND),
    (UnknownWorker, Exit.NOT_FOUND),
    (UniqueConflict, Exit.CONFLICT),
    (IdempotencyMismatch, Exit.CONFLICT),
    (KeyInFlight, Exit.CONFLICT),
    (Changed, Exit.CONFLICT),
    # Whatever else goes wrong here goes wrong with the database: it is away, too old, or does not start.
    (EsteiraError, Exit.DATABASE),
)
_NEXT: dict[type[EsteiraError], str] = {
    DatabaseUnavailable: "check that PostgreSQL runs and that ESTEIRA_DATABASE_URL names it",
    JobNotFound: "`esteira jobs` lists the newest ones",
    JobFailed: "`esteira status {id}` shows its attempts, `esteira retry {id}` gives it another life",
    JobCancelled: "`esteira retry {id}` gives it another life",
    IllegalTransition: "`esteira status {id}` shows it",
    UniqueConflict: "`esteira status {id}` shows it; with --on-conflict return it is the answer",
    IdempotencyMismatch: "`esteira status {id}` shows it; another request needs another key",
    UnknownTask: "`esteira tasks` lists those that are declared",
    UnknownWorker: "`esteira workers` lists those that are there",
}
_JOB = re.compile(r"job ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class _Help:
    """Show --help as the switch that it is, without a type behind it."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option, or None where there is none."""
        found = super().get_help_option(ctx)  # type: ignore[misc]
        if found is not None:
            found.metavar = ""
        return found


class Command(_Help, TyperCommand):
    """One command."""


class Commands(_Help, TyperGroup):
    """Run a command; an error of Esteira's ends it with a sentence and its code, never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except EsteiraError as error:
            typer.echo(f"esteira: {sentence(error)}", err=True)
            raise typer.Exit(code_of(error)) from None


def code_of(error: EsteiraError) -> Exit:
    """Return the exit code for an error."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def code_of_end(job: Job) -> Exit:
    """Return the exit code for a job that has ended."""
    return {"dead": Exit.DEAD, "cancelled": Exit.CANCELLED}.get(job.status, Exit.FINE)


def sentence(error: EsteiraError) -> str:
    """Say what went wrong and what to do next."""
    text = str(error)
    if isinstance(error, DatabaseUnavailable):
        text = f"the database cannot be reached ({text})"
    # Schema and settings say it themselves, where they are refused.
    step = _NEXT.get(type(error))
    if step is None:
        return text
    # All errors about a job name it so, those from the database too, which carry nothing but their text.
    named = _JOB.search(text)
    told = step.format(id=named[1] if named else "ID")
    # What a task raised may have many lines: the next step is not to be looked for at the end of the last.
    return f"{text}\n{told}" if "\n" in text else f"{re.sub(r'[.;]$', '', text)}: {told}"
