"""The guide to writing tasks: its snippets, put together to files and run by a real worker and service."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.postgres import Psql

GUIDE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
PRINTED = """\
quote: 10
letter: ['letter 1 to Ada', 'letter 2 to Ada']
letter: the payload does not fit
ship: label of 7
ship 8: 0 jobs
with psycopg: 20
with SQLAlchemy: 40
charge: charged 7
letter: ['letter 1 to Bo']
letter: ['letter 1 to Cy']
charge: CardDeclined 1
fetch: cancelled
count: 4950
crunch: 328350
fulfil: label of 5 1.0
steps: ['label', 'record', 'notify']
plainly: label of 6
pick_up: 10 0 failures
"""
SHIPPED = """\
5|label of 5
6|label of 6
7|label of 7
7|to be printed
9|label of 9
9|to be printed
10|label of 10
10|to be printed"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def programs() -> dict[str, str]:
    """Return the page's files by name: the snippets that begin with it, in their order."""
    files: dict[str, str] = {}
    for block in blocks("python"):
        first, _, body = block.partition("\n")
        name = re.fullmatch(r"# (\w+\.py)", first)
        assert name, f"this snippet does not say which file it belongs to:\n{block}"
        files[name[1]] = f"{files[name[1]]}\n\n{body}" if name[1] in files else body
    return files


@pytest.fixture
def folder(tmp_path: Path, port: int) -> Path:
    for name, text in programs().items():
        (tmp_path / name).write_text(text.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    return tmp_path


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def environment(database_url: str, port: int) -> dict[str, str]:
    ours = {"ESTEIRA_DATABASE_URL": database_url, "ESTEIRA_PORT": str(port), "ESTEIRA_TASKS": "guide"}
    return {**os.environ, **ours, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@contextmanager
def running(module: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-P", "-m", module], cwd=folder, env=environment)
    try:
        yield
    finally:
        process.terminate()
        try:
            ended = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    # Uvicorn ends in order, and then by the signal that it was sent.
    assert ended in (0, -signal.SIGTERM), f"{module} ended with {ended}"


def run(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout


def until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_programs_of_the_guide_print_what_they_promise(
    folder: Path, environment: dict[str, str], port: int, psql: Psql
) -> None:
    psql("".join(blocks("sql")))
    with ExitStack() as stack:
        for module in ("esteira_service", "esteira_worker"):
            stack.enter_context(running(module, folder, environment))
        until(lambda: psql("select count(*) from esteira.task") != "0", "no worker declared the tasks")
        assert run(folder, environment, "enqueue.py") == PRINTED
        until(lambda: answers(port), "the service did not come up")
        assert run(folder, environment, "plain.py") == "quote: 8\nby name: 10\nover HTTP: 12\n"
        shipped = "select order_id, label from shipment order by order_id, label"
        until(lambda: psql(shipped) == SHIPPED, "not everything was shipped")


def test_unit_tests_of_the_guide_pass_without_a_database(folder: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("ESTEIRA_", "PYTEST_"))}
    bare["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    assert "3 passed" in run(folder, bare, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_guide.py")


def test_every_task_of_the_guide_is_enqueued_by_one_of_its_programs() -> None:
    files = programs()
    declared = re.findall(r"^@app\.task\([^@]*?^(?:async )?def (\w+)", files["guide.py"], re.DOTALL | re.MULTILINE)
    asked = files["enqueue.py"] + files["plain.py"]
    assert declared
    assert [task for task in declared if f"{task}.enqueue(" not in asked and f'"guide.{task}"' not in asked] == []
