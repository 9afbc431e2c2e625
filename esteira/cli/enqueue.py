"""The command that enqueues a job."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from esteira.cli.jobs import watch_job
from esteira.cli.options import DatabaseUrl, Json, json_value, moment, option
from esteira.cli.session import ask, print_json
from esteira.errors import JobCancelled, JobFailed

if TYPE_CHECKING:
    from esteira.cli.report import JobReport
    from esteira.client import Client


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
    from esteira.client import NewJob
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
        if wait:
            _show_end(await watch_job(client, job_id, as_json=False, stderr=True), as_json=as_json)
        elif as_json:
            print_json(await client.get(job_id))

    ask(database_url, go)


def _show_end(job: "JobReport", *, as_json: bool) -> None:
    from esteira.job import Job

    if as_json:
        print_json(Job(**{name: getattr(job, name) for name in Job.model_fields}))
    if job.status == "dead":
        raise JobFailed(job)
    if job.status == "cancelled":
        raise JobCancelled(job)
    if not as_json:
        result: Any = job.result
        print_json(result)
