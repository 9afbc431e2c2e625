"""An enqueued job, in the hand of whoever enqueued it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from esteira.durations import Duration
from esteira.job import Job
from esteira.result import result_of

if TYPE_CHECKING:
    from esteira.client import Client

R = TypeVar("R")


class Handle(Generic[R]):
    """An enqueued job, by id. `result` gives back what the task returned, in the type that it declares."""

    def __init__(self, job_id: UUID, client: Client, returns: TypeAdapter[R]) -> None:
        self.id = job_id
        self._client = client
        self._returns = returns

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"

    async def job(self) -> Job:
        """Return the job as it is now."""
        return await self._client.get(self.id)

    async def cancel(self) -> Job:
        """Cancel it, or ask it to stop."""
        return await self._client.cancel(self.id)

    async def result(self, *, timeout: Duration | None = None) -> R:  # noqa: ASYNC109 - part of the interface
        """Wait for the end and return the result.

        Raises TimeoutError while it has not ended in time, JobFailed, JobCancelled, and InvalidInput where the result
        was not stored or is not of the declared type.
        """
        return result_of(await self._client.wait(self.id, timeout=timeout), self._returns)
