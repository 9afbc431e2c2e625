"""The README's first task, taken from its text and run as a reader would run it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [body for name, body in found if name == language]


def command(start: str) -> str:
    """Return the command that begins so, with its continuation lines."""
    found = [block for block in blocks("") if block.startswith(start)]
    assert len(found) == 1, f"the README has {len(found)} blocks that begin with {start!r}"
    return found[0]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    module, program = blocks("python")
    (tmp_path / "shop.py").write_text(module)
    (tmp_path / "program.py").write_text(program)
    return tmp_path


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "ESTEIRA_DATABASE_URL": database_url, "ESTEIRA_PORT": str(port)}


def run(line: str, folder: Path, environment: dict[str, str]) -> str:
    line = line.replace("127.0.0.1:8000", f"127.0.0.1:{environment['ESTEIRA_PORT']}")
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def dev(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command("esteira dev").split(), cwd=folder, env=environment)
    try:
        deadline = time.monotonic() + 30
        while not ready(environment):
            assert process.poll() is None, "esteira dev ended"
            assert time.monotonic() < deadline, "esteira dev did not come up"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        assert process.wait(60) == 0


def ready(environment: dict[str, str]) -> bool:
    address = f"http://127.0.0.1:{environment['ESTEIRA_PORT']}"
    try:
        return bool(httpx.get(f"{address}/v1/workers", trust_env=False).json()["items"])
    except httpx.HTTPError:
        return False


def test_first_task_runs_from_http_shell_python_and_sql(shop: Path, environment: dict[str, str], psql: Any) -> None:
    with dev(shop, environment):
        job = json.loads(run(command("curl -s"), shop, environment))
        assert (job["status"], job["result"]) == ("completed", {"order": 1, "charge": "charged 5 for order 1"})

        enqueue, jobs = command("esteira enqueue").strip().splitlines()
        assert "charged 7 for order 2" in run(enqueue, shop, environment)
        assert run(jobs, shop, environment).count("shop.fulfil") == 2

        assert run(f"{sys.executable} program.py", shop, environment) == "charged 9 for order 3\n"

        (block,) = blocks("sql")
        assert psql(block).splitlines()[0]
        deadline = time.monotonic() + 20
        while psql("select count(*) from esteira.jobs where status = 'completed'") != "4":
            assert time.monotonic() < deadline, psql("select id, status, error from esteira.jobs")
            time.sleep(0.05)


def test_every_page_that_a_page_links_to_is_there() -> None:
    root = Path(__file__).parents[2]
    pages = [
        root / "README.md",
        root / "CONTRIBUTING.md",
        *(root / "docs").rglob("*.md"),
        *(root / "examples").rglob("*.md"),
    ]
    missing = [
        f"{page.relative_to(root)} → {target}"
        for page in [*pages, root / "sql" / "README.md"]
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []
