"""The command line: `esteira --help`.

- exits.py: exit codes and errors
- options.py: what commands have in common
- session.py: the client, and where output goes
- enqueue.py, lines.py: enqueue
- jobs.py, report.py: status, jobs, explain
- acts.py, bulk.py, choice.py: cancel, retry, discard, edit; by id, or by filter
- queues.py, workers.py: queues, tasks, workers, their pauses and ends, and retention
- doctor.py: what is wrong with an installation
- history.py: record every change of every job, and check it
- processes.py: serve, worker, migrate, roles
- dev.py, child.py, readiness.py: everything at once, for development
- views.py, tables.py, text.py: how it all looks in a terminal

What a command needs it imports when it runs: `esteira --help` and a mistyped option answer at once.
"""

from typing import Annotated

import typer

from esteira.cli import acts, dev, doctor, enqueue, history, jobs, processes, queues, workers
from esteira.cli.exits import EPILOG, Command, Commands


def _show_version(wanted: bool) -> None:
    if wanted:
        from esteira import __version__

        typer.echo(f"esteira {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="esteira",
    cls=Commands,
    help="A durable task queue on PostgreSQL alone.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def common(
    _version: Annotated[
        bool,
        typer.Option("--version", metavar="", is_eager=True, callback=_show_version, help="Print the version and end."),
    ] = False,
) -> None:
    """Take the options that belong to no command."""


for command in (
    dev.dev,
    processes.serve,
    processes.worker,
    processes.migrate,
    processes.roles,
    enqueue.enqueue,
    jobs.status,
    jobs.jobs,
    jobs.explain,
    acts.cancel,
    acts.retry,
    acts.discard,
    acts.edit,
    queues.queues,
    queues.pause,
    queues.resume,
    queues.purge,
    queues.keep,
    queues.tasks,
    workers.workers,
    workers.drain,
    doctor.doctor,
):
    app.command(cls=Command)(command)
app.add_typer(history.app, name="history")


def main() -> None:
    """Run the command line."""
    app(prog_name="esteira")
