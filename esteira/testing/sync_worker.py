"""The worker for tests that are plain functions: its event loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar

from esteira.app import App
from esteira.durations import Duration
from esteira.job import Job
from esteira.task import Payload, Task
from esteira.testing.faults import Error
from esteira.testing.worker import Worker

T = TypeVar("T")


class SyncWorker:
    """Do what Worker does, without await. A context manager; its methods are those of Worker."""

    def __init__(self, apps: App | Sequence[App], database_url: str | None = None, *, slots: int = 1) -> None:
        self._worker = Worker(apps, database_url, slots=slots)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="esteira-testing", daemon=True)
        self._thread.start()
        try:
            self._call(self._worker.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._call(self._worker.__aexit__(*error))
        finally:
            self._end()

    def run(self, task: Task[..., Any] | str, payload: Payload = None, **options: Any) -> Job:
        """Enqueue a job of a task, or of its name, drain, and return the job after it, however it ended."""
        return self._call(self._worker.run(task, payload, **options))

    def drain(self, *, limit: int = 1000) -> list[Job]:
        """Run all that is ready, until nothing is; returns the jobs that ran, as they are after, in their order."""
        return self._call(self._worker.drain(limit=limit))

    def now(self) -> datetime:
        """Return the queue's time."""
        return self._call(self._worker.now())

    def advance(self, by: Duration) -> datetime:
        """Move the queue's clock forward, for the whole database, and return what it shows; it then stands still."""
        return self._call(self._worker.advance(by))

    def fail_step(self, step: str, error: Error, *, times: int = 1) -> None:
        """Let the next runs of the step of this name raise the error instead of running; a step's retries count.

        Raises ConfigurationError for a step that no task can have; leaving the worker raises AssertionError where no
        job came to it.
        """
        self._worker.fail_step(step, error, times=times)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
