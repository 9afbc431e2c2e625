"""Everything about one job, as `esteira status` shows it, and the same again whenever it changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from esteira.job import FINAL, Attempt, Explanation, Job, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from esteira.client import Client
    from esteira.job_filter import JobFilter, Page

REFRESH_SECONDS = 0.5


class JobReport(Job):
    """A job with its finished steps, the attempts that did not complete, and why it is not running."""

    steps: list[Step]
    attempts: list[Attempt]
    explanation: Explanation


async def read_report(client: Client, job_id: UUID) -> JobReport:
    """Read all about a job. Raises JobNotFound."""
    # The job first: once it is seen to have ended, no step or attempt can still be missing.
    job = await client.get(job_id)
    return JobReport(
        **dict(job),
        steps=await client.steps(job_id),
        attempts=await client.attempts(job_id),
        explanation=await client.explain(job_id),
    )


async def reports(client: Client, job_id: UUID) -> AsyncIterator[JobReport]:
    """Read all about a job twice a second, until it has ended. Raises JobNotFound."""
    while True:
        report = await read_report(client, job_id)
        yield report
        if report.status in FINAL:
            return
        await asyncio.sleep(REFRESH_SECONDS)


async def pages(client: Client, wanted: JobFilter, page: Page) -> AsyncIterator[list[Job]]:
    """Read a page of jobs twice a second, for ever."""
    while True:
        yield await client.jobs(wanted, page)
        await asyncio.sleep(REFRESH_SECONDS)


def listed(job: Job) -> dict[str, Any]:
    """Return a job as it stands in a list, which does not read payloads and results."""
    return job.model_dump(exclude={"payload", "result"})


class Changes:
    """Tell jobs that have changed since they were last seen from those that have not."""

    def __init__(self) -> None:
        self._seen: dict[UUID, dict[str, Any]] = {}

    def of(self, jobs: Sequence[Job]) -> list[Job]:
        """Return those that are new or not as they were."""
        states = {job.id: _state(job) for job in jobs}
        changed = [job for job in jobs if self._seen.get(job.id) != states[job.id]]
        self._seen = states
        return changed


def _state(job: Job) -> dict[str, Any]:
    # These move with the clock while nothing happens.
    return job.model_dump(exclude={"execution_time_seconds": True, "explanation": {"detail"}})
