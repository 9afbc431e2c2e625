"""docs/cli.md, run from top to bottom as a reader would, with a real worker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from esteira.cli import app
from esteira.cli.exits import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


def blocks(name: str) -> list[str]:
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [body for title, body in found if title == name]


@pytest.fixture
def shell(database_url: str, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    [module] = blocks("python")
    (tmp_path / "shop.py").write_text(module)
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ESTEIRA_DATABASE_URL": database_url, "ESTEIRA_DRAIN_SECONDS": "0"}

    def start(script: str) -> subprocess.Popen[str]:
        pipe: Any = subprocess.PIPE
        command = ["bash", "-euo", "pipefail", "-c", script]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True)

    return start


@pytest.fixture
def worker(shell: Callable[..., subprocess.Popen[str]]) -> Iterator[subprocess.Popen[str]]:
    [line] = blocks("sh worker")
    with shell(f"exec {line}") as process:
        yield process
        process.terminate()


@pytest.mark.timeout(300)  # two dozen programs
def test_the_page_runs_from_top_to_bottom(
    shell: Callable[..., subprocess.Popen[str]], worker: subprocess.Popen[str], psql: Callable[..., str]
) -> None:
    with shell("\n".join(blocks("sh"))) as reader:
        out, err = reader.communicate(timeout=280)
    assert reader.returncode == 0, out + err
    assert out.splitlines()[1] == "700"
    assert "esteira: 20 lines: 20 enqueued\n" in err
    assert "esteira: 20 lines: 20 enqueued before\n" in err
    assert "asked job" in out
    assert psql("select count(*) from esteira.jobs where task = 'shop.bill'") == "23"
    # The last line drained it.
    assert worker.wait(30) == 0


def test_the_doctor_finds_something_or_nothing(shell: Callable[..., subprocess.Popen[str]]) -> None:
    [line] = blocks("sh doctor")
    with shell(line) as reader:
        out, err = reader.communicate(timeout=60)
    # Servers of tests are not durable, which is a problem.
    assert reader.returncode in (0, 1), out + err
    assert "✓ schema" in out


def test_every_command_and_every_exit_code_is_on_the_page() -> None:
    assert [name for name in COMMANDS if not re.search(rf"`{name}\b|esteira {name}\b", PAGE)] == []
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(str(code.value), meaning) for code, meaning in MEANINGS.items()]


def test_every_option_on_the_page_is_one_of_its_command() -> None:
    lines = [line for name in ("sh", "sh worker", "sh doctor") for block in blocks(name) for line in block.splitlines()]
    for line in lines:
        for name, rest in re.findall(r"esteira (\w+)([^|>]*)", line):
            known = {flag for parameter in COMMANDS[name].params for flag in parameter.opts}
            assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= known, line
