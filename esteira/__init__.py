"""Esteira: a durable task queue on PostgreSQL alone."""

from importlib.metadata import version

from esteira.acted import Acted
from esteira.app import App
from esteira.client import Client
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
    PermissionDenied,
    SchemaMismatch,
    UniqueConflict,
    UnknownTask,
    UnknownWorker,
)
from esteira.handle import Handle
from esteira.job import Job
from esteira.job_filter import JobFilter, Page
from esteira.new_job import Enqueued, NewJob
from esteira.outcomes import Fail, Snooze
from esteira.retry import Retry, RetryChange
from esteira.sync_client import SyncClient
from esteira.sync_context import SyncContext, SyncTransaction
from esteira.sync_handle import SyncHandle
from esteira.task import AsyncTask, PlainTask, Task
from esteira.unique import Unique

__version__ = version("esteira")

__all__ = [
    "Acted",
    "App",
    "AsyncTask",
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
    "PermissionDenied",
    "PlainTask",
    "Retry",
    "RetryChange",
    "SchemaMismatch",
    "Snooze",
    "SyncClient",
    "SyncContext",
    "SyncHandle",
    "SyncTransaction",
    "Task",
    "Transaction",
    "Unique",
    "UniqueConflict",
    "UnknownTask",
    "UnknownWorker",
    "__version__",
]
