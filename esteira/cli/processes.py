"""The long-running commands, and those that prepare the database for them."""

import asyncio
from typing import Annotated

import typer

from esteira.cli.options import DatabaseUrl, Json, MoreTasks, Tasks, modules, option, split
from esteira.cli.session import print_json, settle

# A database that is started beside us gets as long to answer.
STARTING_SECONDS = 5.0


def serve(
    host: Annotated[
        str | None, option("Where to listen. (default: ESTEIRA_HOST, else 127.0.0.1)", metavar="HOST")
    ] = None,
    port: Annotated[
        int | None, option("The port. (default: ESTEIRA_PORT, else 8000)", metavar="PORT", min=0, max=65535)
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve the HTTP interface, until SIGTERM or Ctrl-C."""
    settings = settle(host=host, port=port, database_url=database_url)
    settings.require_database_url()
    from esteira_service import run_service

    run_service(settings)


def worker(
    tasks: Tasks = None,
    more: MoreTasks = None,
    queues: Annotated[
        list[str] | None, option("Only these; repeat it, or use commas. (default: all)", metavar="QUEUE")
    ] = None,
    processes: Annotated[
        int | None, option("Engine processes. (default: ESTEIRA_PROCESSES, else 1)", metavar="N", min=1)
    ] = None,
    slots: Annotated[
        int | None, option("Jobs at once in each engine. (default: ESTEIRA_SLOTS, else 10)", metavar="N", min=1)
    ] = None,
    drain: Annotated[
        str | None, option("How long running jobs may go on after SIGTERM. (default: 30s)", metavar="DURATION")
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Claim and run jobs, until SIGTERM or Ctrl-C."""
    from esteira.durations import to_seconds

    settings = settle(
        tasks=modules(tasks, more),
        queues=split(queues),
        processes=processes,
        slots=slots,
        drain_seconds=None if drain is None else to_seconds(drain),
        database_url=database_url,
    )
    settings.require_database_url()
    from esteira_worker import run_worker

    raise typer.Exit(run_worker(settings))


def migrate(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """Bring the database to the newest schema."""
    url = settle(database_url=database_url).require_direct_url()
    asyncio.run(_reach(url))
    from esteira_migrations import current, head, upgrade

    before = current(url)
    upgrade(url)
    after = head()
    if as_json:
        print_json({"before": before, "after": after})
    elif before == after:
        typer.echo(f"the schema is at version {after} already")
    else:
        was = "missing" if before is None else f"at version {before}"
        typer.echo(f"the schema was {was}, and is at version {after} now")


def roles() -> None:
    """Print the SQL that makes the database's roles.

    `esteira roles | psql -X -v ON_ERROR_STOP=1 --single-transaction "$ESTEIRA_DATABASE_URL"`, after each migration.
    """
    from esteira_migrations import roles

    typer.echo(roles(), nl=False)


async def _reach(url: str) -> None:
    """Raise DatabaseUnavailable where there is no database, after a few seconds in which it may be starting."""
    from esteira.database import Database

    database = Database(url, session_name="esteira-migrate")
    try:
        await database.fetchval("select 1", patience=STARTING_SECONDS)
    finally:
        await database.close()
