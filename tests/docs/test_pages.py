"""Everything that the pages tell people to type is typed, and what they show is what comes out."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

from esteira_service.models import BatchView
from esteira_service.problems import Problem
from esteira_service.requests import JobRequest
from tests.docs.answers import same
from tests.docs.blocks import Block, blocks, files, page_names
from tests.docs.conftest import OpenReader
from tests.docs.reader import Reader

NOT_RUN = Path(__file__).parent / "not_run.txt"


def check_json(text: str) -> None:
    """A body or an answer of the service: one of these takes it, or it is not what the service speaks."""
    value = json.loads(text)
    model = Problem if "code" in value else BatchView if "items" in value else JobRequest
    model.model_validate(value)


def check_ini(text: str) -> None:
    ConfigParser().read_string(text)


CHECKED: dict[str, Callable[[str], object]] = {
    "json": check_json,
    "ini": check_ini,
    "yaml": yaml.safe_load,
    "python": ast.parse,
}


def follow(reader: Reader, block: Block) -> None:
    """Do what a reader does with a block."""
    if block.marker == "until stopped":
        reader.start(block.text)
    elif block.language in ("sh", "sql"):
        came, fine = reader.sh(block.text) if block.language == "sh" else reader.sql(block.text)
        assert block.may_fail or fine is (block.marker != "fails"), f"{block.place}\n{block.text}\n{came}"
        if block.answer:
            shown = block.answer
            assert same(shown.language, shown.text, came), f"{shown.place} shows\n{shown.text}\nbut it is\n{came}"
    else:
        CHECKED[block.language](block.text)


@pytest.mark.timeout(300)  # some type two dozen commands
@pytest.mark.parametrize("page", page_names())
def test_page_does_what_it_says(page: str, open_reader: OpenReader) -> None:
    to_do = [block for block in blocks(page) if not block.not_run]
    known = {"sh", "sql", *CHECKED}
    unknown = [f"{block.place}: {block.language or 'no language'}" for block in to_do if block.language not in known]
    assert unknown == [], "say what these are, or <!-- not run: reason --> in the line above"
    reader = open_reader(page) if to_do else None
    for block in to_do:
        assert reader
        follow(reader, block)


def test_markers_are_known_and_what_is_not_run_is_listed() -> None:
    found = [block for page in page_names() for block in blocks(page)]
    known = ("", "until stopped", "fails")
    assert [each.place for each in found if each.marker not in known and not each.not_run and not each.may_fail] == []
    left_out = [f"{block.page}: {block.text.splitlines()[0]} ({block.not_run})" for block in found if block.not_run]
    assert left_out == NOT_RUN.read_text().splitlines(), f"mend {NOT_RUN.name}, which lists what is not run"


def test_every_python_file_is_a_task_module_or_is_run() -> None:
    for page in page_names():
        typed = " ".join(block.text for block in blocks(page) if block.language == "sh")
        idle = [name for name, text in files(page).items() if "= App(" not in text and name not in typed]
        assert idle == [], f"no command of {page} runs them"
