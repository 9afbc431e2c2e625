# Written by scripts/generate_sync.py from esteira/handle.py. Do not edit: change that and run `make generate`.
"""An enqueued job, in the hand of whoever enqueued it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from esteira.durations import Duration
from esteira.job import Job
from esteira.result import result_of

if TYPE_CHECKING:
    from esteira.sync_client import SyncClient

R = TypeVar("R")


class SyncHandle(Generic[R]):
    """An enqueued job, by id. `result` gives back what the task returned, in the type that it declares."""

    def __init__(self, job_id: UUID, client: SyncClient, returns: TypeAdapter[R]) -> None:
        self.id = job_id
        self._client = client
        self._returns = returns

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"

    def job(self) -> Job:
        """Return the job as it is now."""
        return self._client.get(self.id)

    def cancel(self) -> Job:
        """Cancel it, or ask it to stop."""
        return self._client.cancel(self.id)

    def result(self, *, timeout: Duration | None = None) -> R:
        """Wait for the end and return the result.

        Raises TimeoutError while it has not ended in time, JobFailed, JobCancelled, and InvalidInput where the result
        was not stored or is not of the declared type.
        """
        return result_of(self._client.wait(self.id, timeout=timeout), self._returns)
