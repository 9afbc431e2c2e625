"""The command that enqueues: one job, or one for each line of a file."""

import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from esteira.cli.exits import Exit
from esteira.cli.jobs import watch_job
from esteira.cli.options import DatabaseUrl, Json, json_object, json_value, moment, option, split, spread
from esteira.cli.session import ask, console, print_json
from esteira.errors import ConfigurationError, JobCancelled, JobFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from esteira.cli.report import JobReport
    from esteira.client import Client
    from esteira.job import Job, Warning  # noqa: A004 - the word of the interface

# After so long a job that has not begun is explained.
BEGIN_SECONDS = 2.0


def job_options(
    queue: Annotated[str | None, option("The queue. (default: the task's)", metavar="NAME")] = None,
    priority: Annotated[
        Literal["low", "normal", "high", "critical"] | None,
        option("low, normal, high or critical. (default: the task's)", metavar="PRIORITY"),
    ] = None,
    delay: Annotated[str | None, option("Not before then: 30s, 10m, 1h30m.", metavar="DURATION")] = None,
    run_at: Annotated[str | None, option("Not before then: 2030-01-31T09:00Z.", metavar="TIME")] = None,
    expires_in: Annotated[
        str | None, option("Not begun by then, it is cancelled: 30s, 10m, 1h30m.", metavar="DURATION")
    ] = None,
    expires_at: Annotated[
        str | None, option("Not begun by then, it is cancelled: 2030-01-31T09:00Z.", metavar="TIME")
    ] = None,
    max_attempts: Annotated[
        int | None,
        option("Failures that end it. (default: the task's, as is the backoff)", min=1, metavar="N"),
    ] = None,
    timeout: Annotated[
        str | None, option("The longest that an attempt may take. (default: the task's)", metavar="DURATION")
    ] = None,
    tag: Annotated[list[str] | None, option("A tag; repeat it, or use commas.", metavar="TAG")] = None,
    metadata: Annotated[str | None, option("Anything that is to be found again: an object.", metavar="JSON")] = None,
    unique_key: Annotated[
        str | None, option("At most one live job of the task has it. (default: the task's)", metavar="KEY")
    ] = None,
    on_conflict: Annotated[
        Literal["return", "replace", "reject"] | None,
        option("Where a live job has it: return that one, replace it, or reject this one.", metavar="POLICY"),
    ] = None,
    idempotency_key: Annotated[
        str | None, option("The same request with it is answered with the same job for 24 h.", metavar="KEY")
    ] = None,
) -> dict[str, Any]:
    """Return the fields of a NewJob that the options fill. Raises ConfigurationError."""
    from esteira.retry import RetryChange

    if expires_in and expires_at:
        raise ConfigurationError("--expires-in and --expires-at say the same: give one of them")
    if expires_in and idempotency_key:
        raise ConfigurationError(
            "with --idempotency-key say --expires-at: --expires-in is another time at every try, and so another request"
        )
    return {
        "queue": queue,
        "priority": priority,
        "delay": delay,
        "run_at": moment(run_at),
        "expires_at": _from_now(expires_in) or moment(expires_at),
        "retry": None if max_attempts is None else RetryChange(attempts=max_attempts),
        "timeout": timeout,
        "tags": split(tag),
        "metadata": json_object(metadata, "the metadata"),
        "unique_key": unique_key,
        "on_conflict": on_conflict,
        "idempotency_key": idempotency_key,
    }


@spread(fields=job_options)
def enqueue(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="The task's name, such as billing.fulfil.", show_default=False)
    ],
    fields: dict[str, Any],
    payload: Annotated[
        str, typer.Argument(metavar="PAYLOAD", help="Its payload as JSON; - reads it from stdin.")
    ] = "{}",
    lines: Annotated[
        typer.FileBinaryRead | None,
        option("A job for each line of FILE, which is its payload; - is stdin.", metavar="FILE"),
    ] = None,
    wait: Annotated[bool, option("Wait until it has ended, and print its result too.", "--wait")] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Enqueue a job and print its id.

    With --wait its result follows, as JSON, once it has ended.
    The exit code then tells how: 0 completed, 1 dead, 6 cancelled.
    With --json the whole job is printed instead.
    With --lines the ids are printed, one a line.
    With an --idempotency-key as well it can be run again after an interruption:
    no line is enqueued twice.
    A payload that does not fit its task makes the job dead at its first attempt.
    """
    from esteira import NewJob

    if lines is not None:
        if payload != "{}" or wait or fields["unique_key"]:
            raise ConfigurationError("--lines goes with no PAYLOAD, no --wait and no --unique-key")
        _enqueue_lines(lines, task, fields, as_json=as_json, database_url=database_url)
        return
    new = NewJob(task, json_value(payload), **fields)

    async def go(client: "Client") -> None:
        [job_id] = await client.enqueue_many([new])
        if not as_json:
            typer.echo(job_id)
        warnings = await _warn(client, task)
        if wait:
            _show_end(await _end(client, job_id), warnings, as_json=as_json)
        elif as_json:
            _print_job(await client.get(job_id), warnings)

    ask(database_url, go)


def _enqueue_lines(file: Any, task: str, fields: dict[str, Any], *, as_json: bool, database_url: str | None) -> None:
    from esteira.cli.lines import Lines, enqueue_lines

    async def go(client: "Client") -> int:
        await _warn(client, task)
        return await enqueue_lines(client, Lines(file, task, fields), as_json=as_json)

    if ask(database_url, go):
        raise typer.Exit(Exit.CONFLICT)


async def _warn(client: "Client", task: str) -> "list[Warning]":
    """Say what a person should know of the task, and return it."""
    from esteira.job import Warning  # noqa: A004 - the word of the interface

    if await client.declared([task]):
        return []
    detail = f"no worker has declared the task {task} yet; the job waits for one: esteira worker --tasks MODULE"
    typer.echo(f"esteira: {detail}", err=True)
    return [Warning(code="TASK_UNKNOWN", detail=detail)]


async def _end(client: "Client", job_id: "UUID") -> "JobReport":
    """Return the job once it has ended; until then a terminal shows it, and a log says why it does not begin."""
    if console(stderr=True).is_terminal:
        return await watch_job(client, job_id, as_json=False, stderr=True)
    from esteira.cli.report import reports
    from esteira.cli.text import sentence_of

    explained_at = time.monotonic() + BEGIN_SECONDS
    async for report in reports(client, job_id):
        if report.status == "queued" and report.attempt == 0 and time.monotonic() >= explained_at:
            typer.echo(f"esteira: job {job_id} has not begun: {sentence_of(report.explanation.detail)}", err=True)
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


def _from_now(duration: str | None) -> datetime | None:
    from esteira.durations import to_timedelta

    return None if duration is None else datetime.now(UTC) + to_timedelta(duration)
