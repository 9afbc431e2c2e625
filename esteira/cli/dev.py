"""The command that runs everything at once: PostgreSQL, the schema, the service, a worker."""

import os
import shlex
import shutil
import signal
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esteira.cli.exits import Exit
from esteira.cli.options import Json, MoreTasks, Tasks, modules, option
from esteira.cli.session import print_json, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.cli.child import Child
    from esteira.embedded import EmbeddedPostgres
    from esteira.settings import Settings

# On top of the worker's drain: to settle, to say goodbye, to end.
PATIENCE_SECONDS = 15.0


@dataclass(frozen=True)
class Database:
    """Hold the database that is used, and how a person gets into it."""

    url: str
    psql: str
    export: str | None
    is_alive: "Callable[[], bool]"


class ProcessEndedError(Exception):
    """Say which process ended by itself."""


def dev(
    port: Annotated[
        int | None, option("The service's port. (default: ESTEIRA_PORT, else 8000)", metavar="PORT", min=1, max=65535)
    ] = None,
    data: Annotated[
        Path, option("Where the embedded PostgreSQL keeps its data. (default: .esteira)", metavar="DIR")
    ] = Path(".esteira"),
    tasks: Tasks = None,
    more: MoreTasks = None,
    as_json: Json = False,
) -> None:
    """Run PostgreSQL, migrations, service and worker, all at once.

    The data stay in DIR, and Ctrl-C stops everything in order.
    Where ESTEIRA_DATABASE_URL is set, that database is used instead.
    With --json the addresses are printed as one object, once all is up.
    """
    from esteira.cli.readiness import require_free_port

    settings = settle(port=port, tasks=modules(tasks, more))
    require_free_port(settings.host, settings.port)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        # A second Ctrl-C is for the child that is being stopped; wherever else it hits, the rest still stops in order.
        with suppress(KeyboardInterrupt), ExitStack() as stack:
            try:
                _run(stack, settings, data, as_json=as_json)
            except KeyboardInterrupt:
                _say("stopping; another Ctrl-C does not wait for running jobs")
    except ProcessEndedError as ended:
        _say(f"{ended}; everything else is stopped")
        raise typer.Exit(Exit.PROCESS_ENDED) from None
    _say("everything is stopped")


def _run(stack: ExitStack, settings: "Settings", data: Path, *, as_json: bool) -> None:
    """Start one thing after the other; `stack` stops them in the opposite order."""
    from esteira_migrations import upgrade

    database = _given(settings.database_url) if settings.database_url else _embedded(stack, data)
    upgrade(settings.require_direct_url() if settings.database_url else database.url)
    children = _start_children(stack, settings, database)
    address = f"http://{_reachable(settings.host)}:{settings.port}"
    while not _is_up(address, children, database):
        _check(children, database)
        time.sleep(0.1)
    if as_json:
        print_json(_summary(settings, database, address))
    else:
        _welcome(settings, database, address)
    while True:
        _check(children, database)
        time.sleep(0.2)


def _given(url: str) -> Database:
    return Database(url, 'psql "$ESTEIRA_DATABASE_URL"', None, lambda: True)


def _embedded(stack: ExitStack, data: Path) -> Database:
    from esteira.embedded import EmbeddedPostgres

    server = EmbeddedPostgres(data / "postgres")
    if not server.data_dir.exists():
        _say(f"making a database in {server.data_dir}")
    stack.enter_context(server)
    url = server.url()
    psql = "psql" if shutil.which("psql") else shlex.quote(str(server.psql))
    export = f"export ESTEIRA_DATABASE_URL={shlex.quote(url)}"
    return Database(url, f"{psql} {shlex.quote(url)}", export, lambda: _runs(server))


def _runs(server: "EmbeddedPostgres") -> bool:
    from esteira.embedded import EmbeddedPostgresError

    try:
        return server.pid > 0
    except EmbeddedPostgresError:
        return False


def _start_children(stack: ExitStack, settings: "Settings", database: Database) -> "list[Child]":
    """Start the service, and a worker where there are tasks for it."""
    from esteira.cli.child import Child

    environment = {
        **os.environ,
        "ESTEIRA_DATABASE_URL": database.url,
        "ESTEIRA_PORT": str(settings.port),
        "ESTEIRA_TASKS": ",".join(settings.tasks),
    }
    if database.export is not None:
        environment.pop("ESTEIRA_DIRECT_URL", None)
    if settings.log_format == "auto" and sys.stderr.isatty():
        environment["ESTEIRA_LOG_FORMAT"] = "console"
    patience = PATIENCE_SECONDS + settings.drain_seconds
    names = ["serve", "worker"] if settings.tasks else ["serve"]
    return [stack.enter_context(Child(name, environment, patience=patience)) for name in names]


def _check(children: "list[Child]", database: Database) -> None:
    """Raise ProcessEndedError where something that should run does not."""
    for child in children:
        if child.returncode is not None:
            raise ProcessEndedError(
                f"`esteira {child.name}` ended with exit code {child.returncode}: see its log above"
            )
    if not database.is_alive():
        raise ProcessEndedError("PostgreSQL ended: see its log beside its data")


def _is_up(address: str, children: "list[Child]", database: Database) -> bool:
    from esteira.cli.readiness import service_is_ready, worker_is_registered

    workers = (child for child in children if child.name == "worker")
    return service_is_ready(address) and all(worker_is_registered(database.url, worker.pid) for worker in workers)


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - what it was told to listen on


def _summary(settings: "Settings", database: Database, address: str) -> dict[str, Any]:
    return {"url": address, "database_url": database.url, "psql": database.psql, "tasks": settings.tasks}


def _welcome(settings: "Settings", database: Database, address: str) -> None:
    worker = f"runs the tasks of {', '.join(settings.tasks)}"
    none = "none, so jobs wait. Declare tasks in a module and start again: esteira dev --tasks MODULE"
    lines = [
        "",
        "Esteira is up. Ctrl-C stops it.",
        f"  service   {address}   API: {address}/docs",
        f"  worker    {worker if settings.tasks else none}",
        f"  database  {database.psql}",
        "",
        "Next, in another terminal:",
        *([f"  {database.export}"] if database.export else []),
        '  esteira enqueue TASK \'{"some": "payload"}\' --wait',
        "  esteira jobs --watch",
        "",
    ]
    typer.echo("\n".join(lines))


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    typer.echo(f"esteira: {text}", err=True)
