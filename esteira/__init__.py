"""Esteira: a durable task queue on PostgreSQL alone."""

from importlib.metadata import version

from esteira.app import App
from esteira.client import Acted, Client, Enqueued, Handle, NewJob
from esteira.context import Context, Transaction
from esteira.errors import (
    Changed,
    ConfigurationError,
    DatabaseUnavailable,
    EsteiraError,
    IdempotencyMismatch,
    IllegalTransition,
    Interrupted,
    InvalidInput,
    JobCancelled,
    JobFailed,
    JobGone,
    JobNotFound,
    KeyInFlight,
    LeaseLost,
    SchemaMismatch,
    UniqueConflict,
    UnknownTask,
    UnknownWorker,
)
from esteira.job import Job
from esteira.outcomes import Fail, Snooze
from esteira.queries import JobFilter, Page
from esteira.retry import Retry
from esteira.sync_context import SyncContext, SyncTransaction
from esteira.task import Task

__version__ = version("esteira")

__all__ = [
    "Acted",
    "App",
    "Changed",
    "Client",
    "ConfigurationError",
    "Context",
    "DatabaseUnavailable",
    "Enqueued",
    "EsteiraError",
    "Fail",
    "Handle",
    "IdempotencyMismatch",
    "IllegalTransition",
    "Interrupted",
    "InvalidInput",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobFilter",
    "JobGone",
    "JobNotFound",
    "KeyInFlight",
    "LeaseLost",
    "NewJob",
    "Page",
    "Retry",
    "SchemaMismatch",
    "Snooze",
    "SyncContext",
    "SyncTransaction",
    "Task",
    "Transaction",
    "UniqueConflict",
    "UnknownTask",
    "UnknownWorker",
    "__version__",
]
