"""The command that enqueues a job."""

import math
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from esteira.cli.jobs import watch_job
from esteira.cli.options import DatabaseUrl, Json, json_value, moment, option
from esteira.cli.session import ask, console, print_json
from esteira.errors import JobCancelled, JobFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from esteira.cli.report import JobReport
    from esteira.client import Client
    from esteira.job import Job, Warning  # noqa: A004 - the word of the interface

# After so long a job that has not begun is explained.
BEGIN_SECONDS = 2.0


def enqueue(
    task: Annotated[str, typer.Argument(help="The task's name, such as billing.fulfil.", show_default=False)],
    payload: Annotated[
        str, typer.Argument(metavar="PAYLOAD", help="Its payload as JSON; - reads it from stdin.")
    ] = "{}",
    queue: Annotated[str | None, option("The queue. (default: the task's)")] = None,
    priority: Annotated[
        Literal["low", "normal", "high", "critical"] | None,
        option("The priority. (default: the task's)"),
    ] = None,
    delay: Annotated[str | None, option("Not before then: 30s, 10m, 1h30m.", metavar="DURATION")] = None,
    run_at: Annotated[str | None, option("Not before then: 2030-01-31T09:00Z.", metavar="TIME")] = None,
    max_attempts: Annotated[
        int | None,
        option("Failures that end it; the backoff is then 5 s to 1 h. (default: the task's)", min=1),
    ] = None,
    timeout: Annotated[
        str | None, option("The longest that an attempt may take. (default: the task's)", metavar="DURATION")
    ] = None,
    wait: Annotated[bool, option("Wait until it has ended, and print its result too.", "--wait")] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Enqueue a job and print its id.

    With --wait its result follows, as JSON, once it has ended.
    The exit code then tells how: 0 completed, 1 dead, 6 cancelled.
    With --json the whole job is printed instead.
    """
    from esteira.new_job import NewJob
    from esteira.retry import Retry

    new = NewJob(
        task,
        json_value(payload),
        queue=queue,
        priority=priority,
        delay=delay,
        run_at=moment(run_at),
        retry=None if max_attempts is None else Retry(attempts=max_attempts),
        timeout=timeout,
    )

    async def go(client: "Client") -> None:
        [job_id] = await client.enqueue_many([new])
        if not as_json:
            typer.echo(job_id)
        warnings = await _warnings(client, task)
        for warning in warnings:
            typer.echo(f"esteira: {warning.detail}", err=True)
        if wait:
            _show_end(await _end(client, job_id), warnings, as_json=as_json)
        elif as_json:
            _print_job(await client.get(job_id), warnings)

    ask(database_url, go)


async def _warnings(client: "Client", task: str) -> "list[Warning]":
    from esteira.job import Warning  # noqa: A004 - the word of the interface

    if await client.declared([task]):
        return []
    detail = f"no worker has declared the task {task} yet; the job waits for one: esteira worker --tasks MODULE"
    return [Warning(code="TASK_UNKNOWN", detail=detail)]


async def _end(client: "Client", job_id: "UUID") -> "JobReport":
    """Return the job once it has ended; until then a terminal shows it, and a log says why it does not begin."""
    if console(stderr=True).is_terminal:
        return await watch_job(client, job_id, as_json=False, stderr=True)
    from esteira.cli.report import reports

    explained_at = time.monotonic() + BEGIN_SECONDS
    async for report in reports(client, job_id):
        if report.status == "queued" and report.attempt == 0 and time.monotonic() >= explained_at:
            typer.echo(f"esteira: job {job_id} has not begun: {report.explanation.detail}", err=True)
            explained_at = math.inf
    return report


def _print_job(job: "Job", warnings: "Sequence[Warning]") -> None:
    from esteira.job import Job

    fields = {name: getattr(job, name) for name in Job.model_fields}
    print_json(Job(**{**fields, "warnings": [*job.warnings, *warnings]}))


def _show_end(job: "JobReport", warnings: "Sequence[Warning]", *, as_json: bool) -> None:
    if as_json:
        _print_job(job, warnings)
    if job.status == "dead":
        raise JobFailed(job)
    if job.status == "cancelled":
        raise JobCancelled(job)
    if not as_json:
        result: Any = job.result
        print_json(result)
