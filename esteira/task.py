"""A task: a named function plus its policy."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, get_args

from pydantic import BaseModel

from esteira.context import Context
from esteira.errors import ConfigurationError
from esteira.handle import Handle
from esteira.job import Priority
from esteira.new_job import NewJob, check_options
from esteira.retry import Retry
from esteira.signature import Signature
from esteira.sync_context import SyncContext
from esteira.unique import Unique

if TYPE_CHECKING:
    from esteira.app import App
    from esteira.database import CallersConnection, SyncCallersConnection
    from esteira.sync_handle import SyncHandle

P = ParamSpec("P")
R = TypeVar("R")
Executor = Literal["async", "thread", "process"]
Payload = BaseModel | Mapping[str, Any] | None
# As esteira.check_name has it.
_NAME = re.compile(r"\w[\w.:/-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class Policy:
    """What holds for a task's jobs unless they say otherwise."""

    queue: str
    priority: Priority
    retry: Retry
    timeout: timedelta
    unique: Unique | None
    executor: Executor
    steps: tuple[str, ...]
    version: int

    def __post_init__(self) -> None:
        check_name(self.queue)
        for word, known in ((self.priority, get_args(Priority)), (self.executor, get_args(Executor))):
            if word not in known:
                raise ConfigurationError(f'"{word}" is none of {", ".join(known)}')
        if not self.timeout:
            raise ConfigurationError("a timeout of 0 leaves no time to run")
        if not _is_count(self.version):
            raise ConfigurationError(f"version={self.version!r} is to be a number; 1 is the first")
        if len(set(self.steps)) < len(self.steps):
            raise ConfigurationError(f"a step is declared twice: {', '.join(self.steps)}")


class Task(Generic[P, R]):
    """A function that workers run. Called, it still is that function."""

    def __init__(self, app: App, name: str, function: Callable[P, Any], policy: Policy) -> None:
        self.app = app
        self.name = name
        self.function = function
        self.policy = policy
        check_name(name)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(f"{name}: a generator does nothing when it is called; return the result instead")
        asynchronous = inspect.iscoroutinefunction(function)
        if asynchronous != (policy.executor == "async"):
            kind = "an async function runs" if asynchronous else "a plain function does not run"
            raise ConfigurationError(f'{name}: {kind} in the executor "async"')
        contexts = (Context, SyncContext) if asynchronous else (SyncContext, Context)
        self.signature = Signature(function, *contexts)
        if policy.unique is not None and (unknown := set(policy.unique.fields) - self.signature.payload_fields):
            known = ", ".join(sorted(self.signature.payload_fields)) or "none"
            raise ConfigurationError(
                f"{name}: unique: {', '.join(sorted(unknown))} is no field of the payload: {known}"
            )
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"Task({self.name!r})"

    async def enqueue(
        self, payload: Payload = None, *, db: CallersConnection | None = None, **options: Any
    ) -> Handle[R]:
        """Validate the payload and enqueue a job.

        options: queue, priority, delay, run_at, retry, timeout, metadata, tags, expires_at, unique_key, on_conflict,
        idempotency_key, as in NewJob.
        db: a connection of the caller's: asyncpg's, psycopg's AsyncConnection, or SQLAlchemy's AsyncConnection or
        AsyncSession; the job then exists if and only if the transaction on it commits.
        Raises InvalidInput for a payload that does not fit.
        """
        return await self.app.client.enqueue(self, payload, db=db, **options)

    def enqueue_sync(
        self, payload: Payload = None, *, db: SyncCallersConnection | None = None, **options: Any
    ) -> SyncHandle[R]:
        """Validate the payload and enqueue a job, from plain code; as `enqueue`, but for the handle, and for `db`.

        db: a connection of the caller's: psycopg's, or SQLAlchemy's Connection or Session.
        """
        return self.app.sync_client.enqueue(self, payload, db=db, **options)

    def new_job(self, payload: Payload = None, **options: Any) -> NewJob:
        """Validate the payload and return a job of this task, for a client's `enqueue_many`. Raises InvalidInput."""
        check_options(options, self.signature.payload_fields)
        return NewJob(self.name, self.signature.encode(payload), **options)

    def declaration(self) -> dict[str, Any]:
        """Return what a worker tells the database of this task. Durations are seconds."""
        policy = self.policy
        return {
            "name": self.name,
            "version": policy.version,
            "queue": policy.queue,
            "priority": policy.priority,
            "max_attempts": policy.retry.attempts,
            "retry_first_seconds": policy.retry.first.total_seconds(),
            "retry_max_seconds": policy.retry.max.total_seconds(),
            "timeout_seconds": policy.timeout.total_seconds(),
            "executor": policy.executor,
            "steps": list(policy.steps),
            "payload_schema": self.signature.payload_schema,
            "unique_fields": None if policy.unique is None else list(policy.unique.fields),
            "unique_on_conflict": None if policy.unique is None else policy.unique.on_conflict,
        }


class AsyncTask(Task[P, R]):
    """A task whose function is asynchronous."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the function itself, for unit tests and for other code."""
        return self.function(*args, **kwargs)  # type: ignore[no-any-return]


class PlainTask(Task[P, R]):
    """A task whose function is a plain one."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, for unit tests and for other code."""
        return self.function(*args, **kwargs)  # type: ignore[no-any-return]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 1


def check_name(name: str) -> None:
    """Raise ConfigurationError for what cannot name a task or a queue."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f'"{name}" is no name: use 1 to 100 letters of ASCII, digits, and _ . : / -')
