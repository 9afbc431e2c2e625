"""A task: a named function plus its policy."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, get_args

from pydantic import BaseModel

from esteira.client import Handle, NewJob
from esteira.context import Context
from esteira.errors import ConfigurationError
from esteira.job import Priority
from esteira.retry import Retry
from esteira.signature import Signature
from esteira.sync_context import SyncContext

if TYPE_CHECKING:
    from esteira.app import App
    from esteira.database import Connection

P = ParamSpec("P")
R = TypeVar("R")
Executor = Literal["async", "thread", "process"]
# The database has the last word: which letters and digits a name may hold depends on its locale.
_NAME = re.compile(r"\w[\w.:/-]{0,99}")


@dataclass(frozen=True)
class Policy:
    """What holds for a task's jobs unless they say otherwise."""

    queue: str
    priority: Priority
    retry: Retry
    timeout: timedelta
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
        if len(set(self.steps)) < len(self.steps):
            raise ConfigurationError(f"a step is declared twice: {', '.join(self.steps)}")


class Task(Generic[P, R]):
    """A function that workers run. Called, it still is the plain function."""

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
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function itself, for unit tests and for other code."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"

    async def enqueue(
        self, payload: BaseModel | Mapping[str, Any] | None = None, *, db: Connection | None = None, **options: Any
    ) -> Handle[R]:
        """Validate the payload and enqueue a job.

        options: queue, priority, delay, run_at, retry, timeout, metadata, tags, as in NewJob.
        db: an asyncpg connection; the job then exists if and only if the caller's transaction on it commits.
        Raises InvalidInput for a payload that does not fit.
        """
        new = NewJob(self.name, self.signature.encode(payload), **options)
        client = self.app.client
        return Handle((await client.enqueue_many([new], db=db))[0], client, self.signature.returns)

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
        }


def check_name(name: str) -> None:
    """Raise ConfigurationError for what cannot name a task or a queue."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f'"{name}" is no name: use 1 to 100 letters, digits, and _ . : / -')
