"""What people read: the table in the terminal, and the part of docs/performance.md that is made of a JSON file.

`python -m bench.report FILE …` prints the table again; with `--docs` it writes table, settings and plots into docs/.
Several files are runs of one size with different scenarios: an hour can be measured in parts.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from bench import redis_server, registry
from bench.measured import OURS, as_json
from bench.run import Outcome
from bench.scale import FULL, Scale
from bench.servers import SETTINGS
from bench.system import ROOT

DOCS = ROOT / "docs"
PAGE = DOCS / "performance.md"
ABSENT = "-"
TIMES = "\N{MULTIPLICATION SIGN}"
# What stands between these lines of the page is written by this file alone; each size has a place of its own.
_BEGIN, _END = "<!-- measured, {scale}: begin -->\n", "<!-- measured, {scale}: end -->"


def as_document(
    outcome: Outcome, scenarios: Mapping[str, Any], systems: Mapping[str, Any], scale: Scale, postgres: str
) -> dict[str, Any]:
    """Return all that a run found, as it stands in the JSON."""
    return {
        "scale": scale.name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": _machine(),
        "postgres": {"version": postgres, "settings": {"fsync": "on", "synchronous_commit": "on", **SETTINGS}},
        "redis": {"settings": redis_server.SETTINGS},
        "systems": [
            {"name": one.name, "version": outcome.versions[one.name], "settings": one.settings}
            for one in systems.values()
            if one.name in outcome.versions
        ],
        "scenarios": {name: one.title for name, one in scenarios.items()},
        "figures": as_json(outcome.measured),
        "missing": outcome.missing,
    }


def _machine() -> dict[str, Any]:
    return {
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "load_at_end": round(psutil.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def together(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return runs of one size as one; where two measured a scenario, the later part counts."""
    whole = dict(parts[-1])
    if {part["scale"] for part in parts} != {whole["scale"]}:
        sys.exit("the files are runs of different sizes")
    last = {one["scenario"]: number for number, part in enumerate(parts) for one in part["figures"]}
    whole["scenarios"] = {name: title for part in parts for name, title in part["scenarios"].items()}
    order = ["all", *registry.scenarios()]
    for key in ("figures", "missing"):
        kept = [
            one for number, part in enumerate(parts) for one in part[key] if last.get(one["scenario"], number) == number
        ]
        whole[key] = sorted(kept, key=lambda one: order.index(one["scenario"]))
    return whole


def rows(found: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each figure's name and what stands under each system."""
    figures: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for one in found["figures"]:
        figures.setdefault((one["scenario"], one["figure"]), {})[one["system"]] = one
    for (scenario, figure), by_system in figures.items():
        unit = next(iter(by_system.values()))["unit"]
        yield f"{found['scenarios'][scenario]}: {figure}, {unit}", [_cell(by_system.get(name)) for name in names]


def _measured_systems(found: Mapping[str, Any]) -> list[str]:
    measured = {one["system"] for one in found["figures"]}
    return [one["name"] for one in found["systems"] if one["name"] in measured]


def _cell(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return ABSENT
    better = one["esteira_is_better_by"]
    return number(one["median"]) + ("" if better is None else f" ({better:.2f} {TIMES})")


def number(value: float) -> str:
    """Write three digits that count, and all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(found: Mapping[str, Any]) -> None:
    """Print the table, and why figures are missing."""
    names = _measured_systems(found)
    table = Table(title=f"Medians ({found['scale']}); in brackets how many times better {OURS} is, in the same rounds")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for title, cells in rows(found, names):
        table.add_row(title, *cells)
    console = Console() if sys.stdout.isatty() else Console(width=60 + 24 * len(names))
    console.print(table)
    for one in found["missing"]:
        console.print(_absence(one), markup=False, highlight=False)


def markdown(found: Mapping[str, Any]) -> str:
    """Return the generated part of the page."""
    names = _measured_systems(found)
    machine = found["machine"]
    settings = ", ".join(f"`{name} = {value}`" for name, value in found["postgres"]["settings"].items())
    measured = (
        f"Measured {found['at']} (`{found['scale']}`) on {machine['cores']} cores with {machine['memory_gb']} GB,"
        f" {machine['system']}, Python {machine['python']}, {found['postgres']['version']}. PostgreSQL: {settings}."
    )
    figures = [[title, *cells] for title, cells in rows(found, names)]
    systems = [[one["name"], one["version"], one["settings"]] for one in found["systems"]]
    lines = [
        measured,
        "",
        *_markdown_table(["", *names], figures),
        "",
        f"In brackets: how many times better {OURS} is than that system, the median over rounds that ran side by side.",
        "It is no quotient of the two medians; where the two say different things, rounds scattered too much to tell.",
        "",
        *_markdown_table(["system", "version", "settings"], systems),
    ]
    if found["missing"]:
        lines += ["", "Missing:", "", *(f"- {_absence(one)}" for one in found["missing"])]
    return "\n".join(lines) + "\n"


def _markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _absence(one: Mapping[str, str]) -> str:
    return f"{one['system']}, {one['scenario']}: {' '.join(one['why'].split())}"


def left_out(found: Mapping[str, Any]) -> list[str]:
    """Return the scenarios and systems of a whole run of this size that this one has not tried."""
    tried = {one["scenario"] for one in (*found["figures"], *found["missing"])}
    known = {one["system"] for one in (*found["figures"], *found["missing"])}
    whole = {name for name, one in registry.scenarios().items() if found["scale"] == FULL.name or not one.long}
    return sorted(whole - tried) + sorted({one.name for one in registry.systems().values()} - known)


def write_docs(found: Mapping[str, Any], page: Path = PAGE) -> None:
    """Put the table and plots into the page, in place of those that stand there."""
    from bench.plots import draw

    pictures = [f"![{title}]({file.name})" for file, title in draw(found, page.parent)]
    made = "\n\n".join([markdown(found), *pictures])
    begin, end = _BEGIN.format(scale=found["scale"]), _END.format(scale=found["scale"])
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, places = between.subn(lambda _: f"{begin}\n{made}\n{end}", page.read_text())
    if places != 1:
        sys.exit(f"{page} has no place for the table: a line {begin.strip()} and one {end}")
    page.write_text(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Show or publish what a run wrote."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="what `python -m bench --json FILE` wrote")
    parser.add_argument("--docs", action="store_true", help="write table and plots into docs/performance.md")
    parser.add_argument("--incomplete", action="store_true", help="also where scenarios or systems are missing")
    options = parser.parse_args(arguments)
    if absent := [str(file) for file in options.files if not file.is_file()]:
        parser.error(f"there is no {', '.join(absent)}")
    found = together([json.loads(file.read_text()) for file in options.files])
    show(found)
    if options.docs:
        if not options.incomplete and (lacking := left_out(found)):
            parser.error(
                f"not written, for lack of {', '.join(lacking)}: name their files as well, or say --incomplete"
            )
        write_docs(found)


if __name__ == "__main__":
    main()
