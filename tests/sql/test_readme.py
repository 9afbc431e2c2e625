"""sql/README.md is run as it stands, in one psql session; what it shows must be what comes out."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "sql" / "README.md"
BLOCK = re.compile(r"^```sql\n(?P<commands>.*?)^```\n(?:\n```text\n(?P<answer>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
# What differs from run to run, and the widths of the columns that hold it.
UNSTABLE = [
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00"), "TIME"),
    (re.compile(r"\d\d:\d\d:\d\d(\.\d+)?"), "DURATION"),
    (re.compile(r"-{2,}"), "--"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" ?\n ?"), "\n"),
]


def stable(text: str) -> str:
    for pattern, name in UNSTABLE:
        text = pattern.sub(name, text)
    return text.strip()


def answers(bin_dir: Path, url: str, blocks: list[str]) -> list[str]:
    script = "".join(f"\\echo block {number}\n{commands}" for number, commands in enumerate(blocks))
    done = subprocess.run(
        [bin_dir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PGTZ": "UTC", "PGOPTIONS": ""},
    )
    assert done.returncode == 0, done.stderr
    return re.split(r"^block \d+\n", done.stdout, flags=re.MULTILINE)[1:]


def test_the_readme_shows_what_psql_answers(postgres_bin: Path, database_url: str) -> None:
    blocks = list(BLOCK.finditer(README.read_text(encoding="utf-8")))
    assert len(blocks) > 8
    printed = answers(postgres_bin, database_url, [block["commands"] for block in blocks])
    for block, answer in zip(blocks, printed, strict=True):
        assert stable(block["answer"] or "") == stable(answer), block["commands"]


def test_every_verb_and_view_is_in_the_readme(run_psql: object, database_url: str) -> None:
    assert callable(run_psql)
    names = run_psql(
        database_url,
        "-c",
        "select proname from pg_proc where pronamespace = 'esteira'::regnamespace"
        " and obj_description(oid, 'pg_proc') not like 'Internal:%'"
        " union select relname from pg_class where relnamespace = 'esteira'::regnamespace and relkind = 'v'",
    ).split()
    text = README.read_text(encoding="utf-8")
    helpers = {"backoff", "make_day", "now", "priority_name", "priority_number", "uuid7", "uuid7_at", "uuid7_time"}
    assert [name for name in names if f"`{name}`" not in text and name not in helpers] == []


def test_a_wrong_answer_would_be_noticed() -> None:
    shown = " attempt |  at\n---------+------\n       1 | 2026-11-22 03:00:00.5+00\n"
    other_time = " attempt | at\n---------+----\n 1 | 2027-01-01 00:00:00+00\n"
    assert stable(shown) == stable(other_time)
    assert stable(shown) != stable(other_time.replace(" 1 |", " 2 |"))


@pytest.mark.parametrize("broken", ["select nonsense;\n", "\\nonsense\n"])
def test_a_command_that_fails_would_be_noticed(postgres_bin: Path, database_url: str, broken: str) -> None:
    with pytest.raises(AssertionError, match="nonsense"):
        answers(postgres_bin, database_url, [broken])
