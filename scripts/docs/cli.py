"""The reference of the command line, from what `--help` says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from esteira.cli import app
from scripts.docs.markdown import block, code, heading, page, table


def cli_page() -> str:
    """Write every command with its arguments and options."""
    return page(
        "# Command line reference",
        "What `esteira COMMAND --help` says. [Errors](errors.md#exit-codes) has the exit codes.",
        *(part for name, command in commands().items() for part in _command(name, command)),
    )


def commands() -> dict[str, Any]:
    """Give every command by its name, those of groups as `group command`."""
    return dict(_walk(typer.main.get_command(app), ()))


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from _walk(below, (*path, name))
    else:
        yield " ".join(path), command


def _command(name: str, command: Any) -> Iterator[str]:
    words = [name, *(_usage(each) for each in command.params if each.param_type_name == "argument")]
    yield heading(2, f"esteira {name}", name.replace(" ", "-"))
    yield block("text", f"esteira {' '.join(words)} [OPTIONS]")
    yield (command.help or "").replace("\b", "")
    records = filter(None, (each.get_help_record(typer.Context(command)) for each in command.params))
    yield table(("", ""), ((code(names), said) for names, said in records))


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper()
    return f"{name if argument.required else f'[{name}]'}{' …' if argument.nargs == -1 else ''}"
