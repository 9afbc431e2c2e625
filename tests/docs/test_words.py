"""What the pages name exists: commands and their options, targets of make, functions and views."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

import esteira
from scripts.docs.cli import commands
from scripts.docs.sql import Catalogue, read_catalogue
from tests.docs.blocks import ROOT, files, page_names
from tests.postgres import PostgresServer

COMMAND = re.compile(r"(?<![\w/.-])(?<!from )esteira ([a-z]+)([^|>\n`;)]*)")
OPTION = re.compile(r"(?<=\s)--[a-z-]+")


@pytest.fixture(scope="module")
def catalogue(postgres_server: PostgresServer, template_database: str) -> Catalogue:
    return read_catalogue(postgres_server.url(template_database))


def code(page: str) -> Iterator[str]:
    """The page's code, inside of lines and in blocks; lines that go on are joined."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    yield from re.findall(r"^ *```\w*\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


@pytest.mark.parametrize("page", page_names())
def test_commands_and_their_options_exist(page: str) -> None:
    known: dict[str, set[str]] = {}
    for name, command in commands().items():
        # Of a group the page names the options of any of its commands.
        known.setdefault(name.split()[0], set()).update(flag for each in command.params for flag in each.opts)
    for text in code(page):
        for name, rest in COMMAND.findall(text):
            assert name in known, f"esteira {name}{rest}"
            assert set(OPTION.findall(rest)) <= known[name] | {"--help"}, f"esteira {name}{rest}"


@pytest.mark.parametrize("page", page_names())
def test_targets_of_make_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name for text in code(page) for name in re.findall(r"^(?:[A-Z_]+=\S+ )?make ([a-z-]+)", text, re.MULTILINE)
    }
    assert named <= targets


@pytest.mark.parametrize("page", page_names())
def test_names_in_the_schema_or_the_package_exist(page: str, catalogue: Catalogue) -> None:
    known = {thing.name for thing in [*catalogue.functions, *catalogue.relations]} | set(dir(esteira))
    known |= {path.stem for path in (ROOT / "esteira").iterdir()} | {"fake_now"}
    named = {name for text in code(page) for name in re.findall(r"(?<![\w./])esteira\.(\w+)", text)}
    assert named - known == set()


def test_every_command_is_on_the_page_of_the_command_line() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [name for name in commands() if not re.search(rf"`{name}\b|esteira {name}\b", text)] == []


def test_every_task_of_the_guide_is_enqueued_by_one_of_its_programs() -> None:
    written = files("docs/tasks.md")
    declared = re.findall(r"^@app\.task\([^@]*?^(?:async )?def (\w+)", written["guide.py"], re.DOTALL | re.MULTILINE)
    asked = written["enqueue.py"] + written["plain.py"]
    assert declared
    assert [task for task in declared if not re.search(rf"\b{task}\.enqueue|\"guide\.{task}\"", asked)] == []


def test_every_code_of_explain_is_on_the_page_of_operations(catalogue: Catalogue) -> None:
    source = (ROOT / "sql" / "verbs" / "explain.sql").read_text()
    codes = set(re.findall(r"query select '(\w+)'", source)) | set(re.findall(r"(?:then|else) '(\w+)'", source))
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert len(codes) > 10
    assert [code for code in sorted(codes) if f"`{code}`" not in text] == []
