"""Commands about the history of all jobs: record it, check it, and leave no trace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from esteira.cli.exits import Command, Commands, Exit
from esteira.cli.options import DatabaseUrl, Json, Yes, option, split
from esteira.cli.session import confirm, console, print_json, settle

if TYPE_CHECKING:
    from rich.console import RenderableType

    from esteira.database import Database
    from esteira.history import Report

T = TypeVar("T")
LedgerFile = Annotated[
    Path | None, option("What clients and handlers wrote with esteira.history.Ledger.", metavar="FILE")
]

app = typer.Typer(
    cls=Commands, help="Record what happens to every job, and check it against what is promised.", no_args_is_help=True
)


@app.command(cls=Command)
def start(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """Begin to record every change of every job, in a schema of its own.

    It doubles what claiming and completing take of the database, and writes about 800 bytes a job: for tests, or an
    hour of suspicion, not for ever.
    """
    from esteira.history import start as begin

    since = _with_database(database_url, begin)
    if as_json:
        print_json({"recording_since": since})
    else:
        typer.echo(f"recording since {since:%Y-%m-%d %H:%M:%SZ}: `esteira history check` checks it")


@app.command(cls=Command)
def check(
    ledger: LedgerFile = None,
    partial: Annotated[bool, option("Not all clients write to the ledger.", "--partial")] = False,
    effects: Annotated[
        str | None,
        option("Where handlers write in ctx.transaction(): a table with job_id and attempt.", metavar="TABLE"),
    ] = None,
    effects_of: Annotated[
        list[str] | None, option("Tasks whose every completed job leaves an effect.", metavar="TASK")
    ] = None,
    drained: Annotated[bool, option("Nothing is left to do: every job must have ended.", "--drained")] = False,
    lease_ticks: Annotated[int, option("ESTEIRA_LEASE_TICKS of the workers. (default: 6)", metavar="N")] = 6,
    slack: Annotated[
        str, option("How much later than promised a ready job may begin. (default: 1s)", metavar="DURATION")
    ] = "1s",
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Check what was recorded against every promise, while everybody goes on.

    The first breach of each is shown with its job's whole story; then the exit code is 1. What cannot be checked says
    why.
    """
    from esteira.durations import to_timedelta
    from esteira.history import Effects
    from esteira.history import check as examine

    named = None if effects is None else Effects(effects, frozenset(split(effects_of) or ()))
    late = to_timedelta(slack)
    with console(stderr=True).status("checking"):
        report = _with_database(
            database_url,
            lambda database: examine(
                database,
                ledger=ledger,
                whole_ledger=not partial,
                effects=named,
                drained=drained,
                lease=lease_ticks,
                slack=late,
            ),
        )
    if as_json:
        print_json(report)
    else:
        console().print(_drawn(report))
    if report.violation is not None:
        raise typer.Exit(Exit.DEAD)


@app.command(cls=Command)
def stop(yes: Yes = False, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """End recording, and drop what was recorded."""
    from esteira.history import recording_since
    from esteira.history import stop as end

    since = _with_database(database_url, recording_since)
    if since is not None:
        confirm(f"drop what was recorded since {since:%Y-%m-%d %H:%M:%SZ}", yes=yes)
    _with_database(database_url, end)
    if as_json:
        print_json({"recorded_since": since})
    else:
        typer.echo("recording has ended, and nothing of it is left")


def _with_database(database_url: str | None, act: Callable[[Database], Awaitable[T]]) -> T:
    from esteira.database import Database

    url = settle(database_url=database_url).require_database_url()

    async def run() -> T:
        database = Database(url, session_name="esteira-history", size=2)
        try:
            return await act(database)
        finally:
            await database.close()

    return asyncio.run(run())


def _drawn(report: Report) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from esteira.cli.text import plain

    marks = Table.grid(padding=(0, 1, 0, 0))
    marks.add_column()
    marks.add_column(no_wrap=True)
    marks.add_column(overflow="fold")
    broken = {violation.invariant: violation for violation in report.violations}
    for name in report.checked:
        violation = broken.get(name)
        mark = Text("✓", "green") if violation is None else Text("✗", "bold red")
        marks.add_row(
            mark,
            name,
            "" if violation is None else "broken once" if violation.times == 1 else f"broken {violation.times:,} times",
        )
    for name, why in report.not_checked.items():
        marks.add_row(Text("·", "cyan"), name, plain(f"not checked: {why}", "dim"))
    return Group(*(plain(f"{violation}\n") for violation in report.violations), marks, Text(report.counted(), "dim"))
