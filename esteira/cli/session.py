"""What every command that asks the database goes through: a client, stdout for answers, stderr for the rest."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from esteira.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.console import Console

    from esteira.client import Client
    from esteira.settings import Settings

T = TypeVar("T")
# What a pipe or a file gets: lines wide enough that nothing is cut.
UNBOUND_WIDTH = 10_000


def settle(**options: object) -> Settings:
    """Read the settings, where options win, and send the logs to stderr as they say. Raises ConfigurationError."""
    from esteira.logging import configure_logging
    from esteira.settings import read_settings

    settings = read_settings(**options)
    configure_logging(settings.log_level, settings.log_format)
    return settings


def ask(database_url: str | None, question: Callable[[Client], Awaitable[T]]) -> T:
    """Run a coroutine with a client of the database and return its answer. Raises EsteiraError."""
    from esteira.client import Client

    url = settle(database_url=database_url).require_database_url()

    async def answer() -> T:
        async with Client(url) as client:
            return await question(client)

    return asyncio.run(answer())


def confirm(what: str, *, yes: bool) -> None:
    """Ask on the terminal whether to do it. Raises ConfigurationError where there is none and --yes was not said."""
    from esteira.cli.exits import Exit

    if yes:
        return
    if not is_terminal():
        raise ConfigurationError(f"this would {what}: say --yes")
    if not typer.confirm(f"{what[0].upper()}{what[1:]}?", err=True):
        raise typer.Exit(Exit.INTERRUPTED)


def is_terminal() -> bool:
    """Tell whether there is somebody to ask."""
    return sys.stdin.isatty()


def print_json(value: Any) -> None:
    """Print a model, or a list of them, as one line of JSON."""
    from pydantic_core import to_json

    typer.echo(to_json(value))


def console(*, stderr: bool = False) -> Console:
    """Return where Rich draws; its width is the terminal's, and without one there is no bound."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else UNBOUND_WIDTH, highlight=False)
