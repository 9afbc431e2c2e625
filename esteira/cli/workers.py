"""Commands about workers."""

from typing import Annotated
from uuid import UUID

import typer

from esteira.cli.options import DatabaseUrl, Json
from esteira.cli.session import ask, console, print_json


def workers(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """List the workers of the last day, the youngest first."""
    found = ask(database_url, lambda client: client.workers())
    if as_json:
        print_json(found)
    else:
        from esteira.cli.tables import workers_view

        screen = console()
        screen.print(workers_view(found, screen.width))


def drain(
    worker: Annotated[UUID, typer.Argument(metavar="WORKER", help="Its id.", show_default=False)],
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Ask a worker to finish what it runs and to leave, as SIGTERM does.

    The exit code is 3 where there is no such worker, or where it has gone.
    """
    since = ask(database_url, lambda client: client.drain(worker))
    if as_json:
        print_json({"worker_id": worker, "drain_at": since})
    else:
        typer.echo(f"asked worker {worker} to leave; `esteira workers` shows when it has")
