"""Every exception of Esteira.

EsteiraError
├── ConfigurationError     a setting or a task's declaration makes no sense
├── DatabaseUnavailable    Postgres cannot be reached, or went away; what was asked may or may not have happened
├── SchemaMismatch         the database's schema is missing, or not the one this version speaks
├── PermissionDenied       the account that is logged in to the database lacks a right
├── InvalidInput           Postgres cannot store it, or a verb refuses it
├── JobNotFound            no job has this id
│   └── JobGone            it is older than what is kept: retention may have removed it
├── IllegalTransition      the job's status does not allow it
├── UniqueConflict         a live job of the task has the unique key, and the new one may not replace it
├── IdempotencyMismatch    the idempotency key was used for another request
├── KeyInFlight            another transaction is about to enqueue a job with the same key: ask again
├── Changed                the job is no longer as it was when it was read
├── LeaseLost              the attempt no longer holds its job: another may run it already
├── UnknownTask            no such task in this App, or none that a worker has declared
├── UnknownWorker          no such worker, or it has gone
├── JobFailed              the awaited job is dead
└── JobCancelled           the awaited job was cancelled

`Interrupted` stands apart: it unwinds a plain function whose job was cancelled or timed out, and so, like
`asyncio.CancelledError`, it is no `Exception` that a handler's `except Exception` would swallow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esteira.job import Job


class EsteiraError(Exception):
    """Stand at the root of everything that Esteira raises."""


class ConfigurationError(EsteiraError):
    """Say what is wrong with a setting or a declaration."""


class DatabaseUnavailable(EsteiraError):
    """Say that Postgres cannot be reached; a write that was under way may have been stored."""


class SchemaMismatch(EsteiraError):
    """Say which schema was found, and what to run."""


class PermissionDenied(EsteiraError):
    """Say what the account that is logged in to the database may not do, and what to grant it."""


class InvalidInput(EsteiraError, ValueError):
    """Say which value cannot be taken, and why."""


class JobNotFound(EsteiraError):
    """Say that no job has this id."""


class JobGone(JobNotFound):
    """Say that retention may have removed the job, and how long jobs are kept."""


class IllegalTransition(EsteiraError):
    """Say which status the job has and why the verb does not apply to it."""


class UniqueConflict(EsteiraError):
    """Say which live job has the unique key."""


class IdempotencyMismatch(EsteiraError):
    """Say which job answered the other request with this idempotency key."""


class KeyInFlight(EsteiraError):
    """Say that another transaction is about to enqueue a job with the same key; nothing was stored."""


class Changed(EsteiraError):
    """Say that the job has changed since it was read; nothing was stored."""


class LeaseLost(EsteiraError):
    """Say that this attempt no longer holds its job, so nothing that it writes is kept."""


class UnknownTask(EsteiraError):
    """Say that the App, or any worker, declares no such task."""


class UnknownWorker(EsteiraError):
    """Say that no worker with this id is there."""


class JobFailed(EsteiraError):
    """Carry the dead job that somebody awaited the result of, as `job`."""

    def __init__(self, job: Job) -> None:
        why = f": {job.error.type}: {job.error.message}" if job.error else ""
        super().__init__(f"job {job.id} is dead{why}")
        self.job = job


class JobCancelled(EsteiraError):
    """Carry the cancelled job that somebody awaited the result of, as `job`."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} was cancelled")
        self.job = job


class Interrupted(BaseException):
    """Unwind a plain function at its next call of the context: its job was cancelled, timed out or taken away."""
