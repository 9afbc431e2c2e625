"""Commands that look at jobs."""

import contextlib
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from esteira.cli.choice import job_filter
from esteira.cli.exits import code_of_end
from esteira.cli.options import DatabaseUrl, JobId, Json, option, spread
from esteira.cli.session import ask, console, print_json

if TYPE_CHECKING:
    from uuid import UUID

    from esteira.cli.report import JobReport
    from esteira.client import Client
    from esteira.job import Job
    from esteira.job_filter import JobFilter, Page

Watch = Annotated[bool, option("Show it live.", "--watch", "-w")]


def status(job_id: JobId, watch: Watch = False, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """Show a job: progress, steps, attempts, result.

    With --watch it is shown live until it has ended.
    The exit code then tells how: 0 completed, 1 dead, 6 cancelled.
    With --watch --json each change is a line.
    """
    from esteira.cli.report import read_report

    if watch:
        end = ask(database_url, lambda client: watch_job(client, job_id, as_json=as_json))
        raise typer.Exit(code_of_end(end))
    report = ask(database_url, lambda client: read_report(client, job_id))
    if as_json:
        print_json(report)
    else:
        from esteira.cli.views import job_view

        console().print(job_view(report))


@spread(wanted=job_filter)
def jobs(
    wanted: "JobFilter",
    sort: Annotated[
        Literal["-created_at", "created_at", "-finished_at", "finished_at"],
        option(
            "created_at or finished_at; with a - in front the latest first. (default: -created_at)", metavar="ORDER"
        ),
    ] = "-created_at",
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="At most so many.")] = 50,
    count: Annotated[bool, option("Print only how many there are.", "--count")] = False,
    watch: Annotated[bool, option("Show them live, until Ctrl-C.", "--watch", "-w")] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """List jobs, the newest first.

    `esteira jobs --status queued,waiting` lists what is pending.
    With --watch --json each job that is new on the list, or has changed, is a line.
    """
    from esteira.job_filter import Page

    page = Page(sort=sort, limit=limit)
    if count:
        number = ask(database_url, lambda client: client.count(wanted))
        print_json({"count": number}) if as_json else typer.echo(number)
    elif watch:
        # Ctrl-C is how a live list ends.
        with contextlib.suppress(KeyboardInterrupt):
            ask(database_url, lambda client: _watch_jobs(client, wanted, page, as_json=as_json))
    else:
        _list(ask(database_url, lambda client: client.jobs(wanted, page)), limit, as_json=as_json)


def _list(found: "list[Job]", limit: int, *, as_json: bool) -> None:
    if as_json:
        from esteira.cli.report import listed

        print_json([listed(job) for job in found])
        return
    from esteira.cli.tables import jobs_view

    screen = console()
    screen.print(jobs_view(found, screen.width))
    if len(found) == limit and screen.is_terminal:
        typer.echo(f"These are {limit}; --limit shows more, --count says how many there are.", err=True)


def explain(job_id: JobId, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """Say why a job is not running, or what it does."""
    explanation = ask(database_url, lambda client: client.explain(job_id))
    if as_json:
        print_json(explanation)
    else:
        from esteira.cli.text import sentence_of

        console().print(sentence_of(explanation.detail), soft_wrap=True)


async def watch_job(client: "Client", job_id: "UUID", *, as_json: bool, stderr: bool = False) -> "JobReport":
    """Show a job live until it has ended, and return it as it then is. On stderr it leaves no trace.

    Where stdout is no terminal it is shown once, when it has ended.
    """
    from rich.live import Live

    from esteira.cli.report import Changes, reports
    from esteira.cli.views import job_view

    changes, screen = Changes(), console(stderr=stderr)
    is_live = screen.is_terminal and not as_json
    live = Live(console=screen, auto_refresh=False, transient=stderr)
    with live if is_live else contextlib.nullcontext():
        async for report in reports(client, job_id):
            if is_live:
                live.update(job_view(report), refresh=True)
            elif as_json and changes.of([report]):
                print_json(report)
    if not (is_live or as_json):
        screen.print(job_view(report))
    return report


async def _watch_jobs(client: "Client", wanted: "JobFilter", page: "Page", *, as_json: bool) -> None:
    from rich.live import Live

    from esteira.cli.report import Changes, listed, pages
    from esteira.cli.tables import jobs_view

    changes, screen = Changes(), console()
    live = Live(console=screen, auto_refresh=False)
    with contextlib.nullcontext() if as_json else live:
        async for found in pages(client, wanted, page):
            if not as_json:
                live.update(jobs_view(found, screen.width), refresh=True)
                continue
            for job in changes.of(found):
                print_json(listed(job))
