"""Commands about queues and tasks: list them, pause, resume and purge them, say how long ended jobs are kept."""

from typing import TYPE_CHECKING, Annotated

import typer

from esteira.cli.options import DatabaseUrl, Json, Yes, option
from esteira.cli.session import ask, confirm, console, print_json

if TYPE_CHECKING:
    from esteira.client import Client
    from esteira.durations import Duration
    from esteira.overview import Queue

Name = Annotated[str, typer.Argument(metavar="NAME", help="The queue, or with --task the task.", show_default=False)]
OfTask = Annotated[bool, option("NAME is a task, in whatever queue.", "--task")]


def queues(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """List the queues: how deep they are, and who serves them."""
    found = ask(database_url, lambda client: client.queues())
    if as_json:
        print_json(found)
    else:
        from esteira.cli.tables import queues_view

        screen = console()
        screen.print(queues_view(found, screen.width))


def tasks(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """List the tasks that workers have declared."""
    found = ask(database_url, lambda client: client.tasks())
    if as_json:
        print_json(found)
    else:
        from esteira.cli.tables import tasks_view

        screen = console()
        screen.print(tasks_view(found, screen.width))


def pause(name: Name, task: OfTask = False, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """Let nothing of a queue, or of a task, be claimed until it is resumed.

    What runs goes on. The exit code is 3 for a task that no worker has declared.
    """

    async def go(client: "Client") -> None:
        known = task or await client.queue(name)
        since = await (client.pause_task(name) if task else client.pause(name))
        what = "task" if task else "queue"
        if as_json:
            print_json({what: name, "paused_at": since})
            return
        typer.echo(
            f"the {what} {name} is paused since {since:%Y-%m-%d %H:%M:%SZ}: `{_command('resume', name, task)}` ends it"
        )
        if not known:
            typer.echo(
                f"esteira: nothing has been heard of a queue {name} before: `esteira queues` lists them", err=True
            )

    ask(database_url, go)


def resume(name: Name, task: OfTask = False, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """End the pause of a queue, or of a task."""
    resumed = ask(database_url, lambda client: client.resume_task(name) if task else client.resume(name))
    what = "task" if task else "queue"
    if as_json:
        print_json({what: name, "resumed": resumed})
    else:
        typer.echo(f"the {what} {name} {'goes on' if resumed else 'was not paused'}")


def purge(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="The queue.", show_default=False)],
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Cancel all jobs of a queue that do not run.

    They can be retried like any cancelled job.
    """

    async def go(client: "Client") -> int:
        found = await client.queue(queue)
        count = 0 if found is None else found.ready + found.scheduled + found.waiting
        if count:
            confirm(f"cancel {count:,} {'job' if count == 1 else 'jobs'} of the queue {queue}", yes=yes)
        with console(stderr=True).status(f"purging {queue}: {count:,} jobs"):
            return await client.purge(queue)

    purged = ask(database_url, go)
    if as_json:
        print_json({"queue": queue, "cancelled": purged})
    else:
        typer.echo(f"cancelled {purged:,} {'job' if purged == 1 else 'jobs'} of the queue {queue}")


def keep(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="The queue.", show_default=False)],
    finished: Annotated[
        str | None,
        option("How long completed and cancelled jobs are kept; 'default': as elsewhere.", metavar="DURATION"),
    ] = None,
    dead: Annotated[
        str | None, option("How long dead jobs are kept; 'default': as elsewhere.", metavar="DURATION")
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Say how long the ended jobs of a queue are kept.

    What is not given stays as it is; without options it is only shown.
    """

    async def go(client: "Client") -> "Queue | None":
        found = await client.queue(queue)
        if finished is not None or dead is not None:
            was = (found.keep_finished_seconds, found.keep_dead_seconds) if found else (None, None)
            await client.keep(queue, finished=_kept(finished, was[0]), dead=_kept(dead, was[1]))
            found = await client.queue(queue)
        return found

    found = ask(database_url, go)
    kept = (found.keep_finished_seconds, found.keep_dead_seconds) if found else (None, None)
    if as_json:
        print_json({"queue": queue, "keep_finished_seconds": kept[0], "keep_dead_seconds": kept[1]})
    else:
        from esteira.cli.text import duration

        told = ["as long as elsewhere" if seconds is None else duration(seconds) for seconds in kept]
        typer.echo(f"the queue {queue} keeps finished jobs {told[0]}, dead ones {told[1]}")


def _kept(given: str | None, was: float | None) -> "Duration | None":
    """Return what an option says, else what was set before."""
    return was if given is None else None if given == "default" else given


def _command(verb: str, name: str, task: bool) -> str:
    return f"esteira {verb} {'--task ' if task else ''}{name}"
