"""The command that says what is wrong with an installation."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import typer

from esteira.cli.exits import Exit
from esteira.cli.options import DatabaseUrl, Json
from esteira.cli.session import console, print_json, settle

if TYPE_CHECKING:
    from rich.console import RenderableType

    from esteira.doctor import Finding, Level
    from esteira.settings import Settings

_MARKS = {"ok": ("✓", "green"), "note": ("·", "cyan"), "warning": ("!", "bold yellow"), "problem": ("✗", "bold red")}
_WORST_FIRST: "tuple[Level, ...]" = ("problem", "warning", "note")


def doctor(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """Say what is wrong with this installation, and what to do.

    It changes nothing. The exit code is 1 where something is a problem.
    """
    settings = settle(database_url=database_url)
    findings = asyncio.run(_examine(settings, as_json=as_json))
    levels = Counter(finding.level for finding in findings)
    if as_json:
        print_json(findings)
    else:
        told = [
            f"{levels[level]} {level}{'' if levels[level] == 1 else 's'}" for level in _WORST_FIRST if levels[level]
        ]
        typer.echo(", ".join(told) or "all is well")
    if levels["problem"]:
        raise typer.Exit(Exit.DEAD)


async def _examine(settings: "Settings", *, as_json: bool) -> "list[Finding]":
    from esteira.doctor import examine

    screen = console()
    findings = []
    async for finding in examine(settings):
        findings.append(finding)
        if not as_json:
            screen.print(_drawn(finding))
    return findings


def _drawn(finding: "Finding") -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    from esteira.cli.text import plain

    mark, style = _MARKS[finding.level]
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column()
    row.add_column(min_width=13)
    row.add_column(overflow="fold")
    row.add_row(Text(mark, style=style), Text(finding.check, style="dim"), plain(finding.detail))
    if finding.action is not None:
        row.add_row("", "", Text.assemble(("→ ", style), plain(finding.action, "bold")))
    return row
