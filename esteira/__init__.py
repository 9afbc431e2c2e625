"""Esteira: a durable task queue on PostgreSQL alone."""

from importlib.metadata import version

from esteira.app import App
from esteira.client import Client, Handle, NewJob
from esteira.context import Context, Transaction
from esteira.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    EsteiraError,
    IllegalTransition,
    Interrupted,
    InvalidInput,
    JobCancelled,
    JobFailed,
    JobGone,
    JobNotFound,
    LeaseLost,
    SchemaMismatch,
    UnknownTask,
)
from esteira.job import Job
from esteira.outcomes import Fail, Snooze
from esteira.queries import JobFilter
from esteira.retry import Retry
from esteira.sync_context import SyncContext, SyncTransaction
from esteira.task import Task

__version__ = version("esteira")

__all__ = [
    "App",
    "Client",
    "ConfigurationError",
    "Context",
    "DatabaseUnavailable",
    "EsteiraError",
    "Fail",
    "Handle",
    "IllegalTransition",
    "Interrupted",
    "InvalidInput",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobFilter",
    "JobGone",
    "JobNotFound",
    "LeaseLost",
    "NewJob",
    "Retry",
    "SchemaMismatch",
    "Snooze",
    "SyncContext",
    "SyncTransaction",
    "Task",
    "Transaction",
    "UnknownTask",
    "__version__",
]
