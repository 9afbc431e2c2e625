"""Commands that act on jobs, by id or by filter: cancel, retry, discard; and edit."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer

from esteira.cli.choice import job_filter
from esteira.cli.exits import code_of, sentence
from esteira.cli.options import (
    DatabaseUrl,
    JobId,
    Json,
    Yes,
    json_object,
    json_value,
    moment,
    option,
    split,
    spread,
)
from esteira.cli.session import ask, print_json
from esteira.errors import ConfigurationError, IllegalTransition, JobNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.cli.bulk import Bulk
    from esteira.client import Client
    from esteira.job import Job
    from esteira.job_filter import JobFilter

Ids = Annotated[
    list[UUID] | None,
    typer.Argument(metavar="ID", help="The jobs; or say with options which.", show_default=False),
]


@dataclass(frozen=True)
class Manner:
    """How an act is done: only counted, on how many, without a question, and how it is told."""

    dry_run: bool
    limit: int | None
    yes: bool
    as_json: bool
    database_url: str | None


def manner(
    dry_run: Annotated[bool, option("Only say how many.", "--dry-run")] = False,
    limit: Annotated[
        int | None, option("At most so many, the oldest first. (default: all)", min=1, metavar="N")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> Manner:
    """Return what the options say."""
    return Manner(dry_run, limit, yes, as_json, database_url)


@spread(wanted=job_filter, how=manner)
def cancel(wanted: "JobFilter", how: Manner, ids: Ids = None) -> None:
    """Cancel jobs, or ask them to stop if they run.

    The exit code is 4 for a job that has ended already.
    `esteira cancel --queue reports --task shop.report` cancels what a filter finds.
    """
    from esteira.cli.bulk import CANCEL

    _act(CANCEL, _cancel, ids, wanted, how)


@spread(wanted=job_filter, how=manner)
def retry(wanted: "JobFilter", how: Manner, ids: Ids = None) -> None:
    """Give dead or cancelled jobs another life.

    Steps that a job finished are not run again. The exit code is 4 for a job in any other status.
    `esteira retry --status dead --task shop.bill` retries what a filter finds.
    """
    from esteira.cli.bulk import RETRY

    _act(RETRY, _retry, ids, wanted, how)


@spread(wanted=job_filter, how=manner)
def discard(wanted: "JobFilter", how: Manner, ids: Ids = None) -> None:
    """Remove dead jobs for good.

    The exit code is 4 for a job in any other status.
    `esteira discard --task shop.bill --finished-before 7d` removes what a filter finds.
    """
    from esteira.cli.bulk import DISCARD

    _act(DISCARD, _discard, ids, wanted, how)


def edit(
    job_id: JobId,
    priority: Annotated[
        Literal["low", "normal", "high", "critical"] | None,
        option("low, normal, high or critical. Before it runs.", metavar="PRIORITY"),
    ] = None,
    queue: Annotated[str | None, option("Before it runs.", metavar="NAME")] = None,
    run_at: Annotated[
        str | None, option("Not before then; a past time means now. Before it runs.", metavar="TIME")
    ] = None,
    tag: Annotated[
        list[str] | None, option("Instead of all its tags; repeat it, or use commas; '' for none.", metavar="TAG")
    ] = None,
    metadata: Annotated[str | None, option("Instead of all its metadata.", metavar="JSON")] = None,
    payload: Annotated[str | None, option("Before its first attempt; - reads it from stdin.", metavar="JSON")] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Change a job.

    The exit code is 4 where its status does not allow it any more.
    """
    changes: dict[str, Any] = {
        "priority": priority,
        "queue": queue,
        "run_at": moment(run_at),
        "tags": None if tag is None else split(tag) or (),
        "metadata": json_object(metadata, "the metadata"),
        "payload": None if payload is None else json_value(payload),
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        raise ConfigurationError("nothing to change: esteira edit ID --priority high, or see --help")
    job = ask(database_url, lambda client: client.edit(job_id, **given))
    _answer(job, f"job {job.id} has changed: {', '.join(given)}", as_json=as_json)


def _act(
    bulk: "Bulk",
    one: "Callable[[Client, UUID, bool], Awaitable[None]]",
    ids: "Sequence[UUID] | None",
    wanted: "JobFilter",
    how: Manner,
) -> None:
    from esteira.cli.bulk import act_on_many
    from esteira.job_filter import JobFilter

    if not ids and wanted == JobFilter():
        raise ConfigurationError(f"which jobs? esteira {bulk.verb} ID, or a filter such as --status or --queue")
    if not ids:
        ask(how.database_url, lambda client: act_on_many(client, bulk, wanted, how))
        return
    if wanted != JobFilter() or how.dry_run or how.limit:
        raise ConfigurationError("name jobs by their ids or by options, not by both")
    ask(how.database_url, lambda client: _act_on_each(client, one, ids, as_json=how.as_json))


async def _act_on_each(
    client: "Client", one: "Callable[[Client, UUID, bool], Awaitable[None]]", ids: "Sequence[UUID]", *, as_json: bool
) -> None:
    """Act on one job after the other; what is wrong with one does not spare the others."""
    codes = []
    for job_id in ids:
        try:
            await one(client, job_id, as_json)
        except (JobNotFound, IllegalTransition) as error:
            typer.echo(f"esteira: {sentence(error)}", err=True)
            codes.append(code_of(error))
    if codes:
        raise typer.Exit(codes[0])


async def _cancel(client: "Client", job_id: UUID, as_json: bool) -> None:
    job = await client.cancel(job_id)
    asked = f"asked job {job.id} to stop; `esteira status {job.id} --watch` shows when it has"
    _answer(job, f"job {job.id} is cancelled" if job.done else asked, as_json=as_json)


async def _retry(client: "Client", job_id: UUID, as_json: bool) -> None:
    job = await client.retry(job_id)
    _answer(job, f"job {job.id} is {job.status} again, in its life {job.generation}", as_json=as_json)


async def _discard(client: "Client", job_id: UUID, as_json: bool) -> None:
    await client.discard(job_id)
    if as_json:
        print_json({"id": job_id, "discarded": True})
    else:
        typer.echo(f"job {job_id} is discarded")


def _answer(job: "Job", text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        typer.echo(text)
