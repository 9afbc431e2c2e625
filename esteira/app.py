"""An App: the tasks of one module, under one name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from esteira.client import Client
from esteira.durations import Duration, to_timedelta
from esteira.errors import ConfigurationError, UnknownTask
from esteira.job import Priority
from esteira.retry import Retry
from esteira.sync_client import SyncClient
from esteira.task import AsyncTask, Executor, PlainTask, Policy, Task, check_name
from esteira.unique import Unique

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator(Protocol):
    """Turn a function into a task; the task keeps the function's types."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[P, R]) -> PlainTask[P, R]: ...


class App:
    """Hold tasks. Their names are `<app>.<function>`, in SQL, HTTP and logs alike.

    database_url: where `enqueue` sends jobs; ESTEIRA_DATABASE_URL where it is not given, read when first needed.
    Another one counts from the next `close` on.
    """

    def __init__(self, name: str, *, database_url: str | None = None) -> None:
        check_name(name)
        self.name = name
        self.tasks: dict[str, Task[..., Any]] = {}
        self.database_url = database_url
        self._client: Client | None = None
        self._sync_client: SyncClient | None = None

    def __repr__(self) -> str:
        return f"App({self.name!r})"

    def __getitem__(self, name: str) -> Task[..., Any]:
        """Return the task of this full name. Raises UnknownTask."""
        try:
            return self.tasks[name]
        except KeyError:
            raise UnknownTask(f'{self!r} declares no task "{name}"') from None

    @property
    def client(self) -> Client:
        """The client that this App's tasks enqueue with."""
        if self._client is None:
            self._client = Client(self.database_url)
        return self._client

    @property
    def sync_client(self) -> SyncClient:
        """The client that this App's tasks enqueue with from plain code; threads may share it."""
        if self._sync_client is None:
            self._sync_client = SyncClient(self.database_url)
        return self._sync_client

    async def close(self) -> None:
        """Close the connections of both clients."""
        self.close_sync()
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def close_sync(self) -> None:
        """Close the connections of the synchronous client, for programs that have no other."""
        if self._sync_client is not None:
            client, self._sync_client = self._sync_client, None
            client.close()

    def task(  # noqa: PLR0913 - the words of a policy
        self,
        *bare: object,
        name: str | None = None,
        queue: str = "default",
        priority: Priority = "normal",
        retry: Retry | None = None,
        timeout: Duration = "1h",
        unique: Unique | None = None,
        executor: Executor | None = None,
        steps: Iterable[str] = (),
        version: int = 1,
    ) -> TaskDecorator:
        """Declare a function as a task.

        unique: which fields of the payload no two live jobs share. executor: "async" for async functions, and no other;
        "thread" (the default) or "process" (killable) for plain ones. steps: the names of its steps, in order, so that
        progress follows from them. version: raise it when the declaration changes; workers with a lower one then no
        longer overwrite it. Raises ConfigurationError.
        """
        if bare:
            raise ConfigurationError("write @app.task() with parentheses, also where nothing stands in them")
        if retry is not None and not isinstance(retry, Retry):
            raise ConfigurationError(f"retry={retry!r} is to be a Retry, such as Retry(attempts=3)")
        if isinstance(steps, str):
            raise ConfigurationError(f'steps="{steps}" is one name; a task has several: steps=("{steps}",)')
        if unique is not None and not isinstance(unique, Unique):
            raise ConfigurationError(f'unique={unique!r} is to be a Unique, such as Unique("id")')

        def decorate(function: Callable[..., Any]) -> Any:
            full_name = f"{self.name}.{name or function.__name__}"
            if full_name in self.tasks:
                raise ConfigurationError(f'the task "{full_name}" is declared twice')
            asynchronous = inspect.iscoroutinefunction(function)
            kind: type[Task[..., Any]] = AsyncTask if asynchronous else PlainTask
            default: Executor = "async" if asynchronous else "thread"
            policy = Policy(
                queue=queue,
                priority=priority,
                retry=retry or Retry(),
                timeout=to_timedelta(timeout),
                unique=unique,
                executor=executor or default,
                steps=tuple(steps),
                version=version,
            )
            self.tasks[full_name] = kind(self, full_name, function, policy)
            return self.tasks[full_name]

        return decorate
