"""Workers as processes of their own, on the test's database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.worker.processes import MODULE, Jobs, Worker, running_worker

StartWorker = Callable[..., Worker]
TASKS = Path(__file__).parents[1] / "worker" / f"{MODULE}.py"


@pytest.fixture
def jobs(database_url: str) -> Iterator[Jobs]:
    """The jobs of the test's database."""
    seen = Jobs(database_url)
    yield seen
    seen.close()


@pytest.fixture
def start_worker(database_url: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Start a worker with the tests' tasks; settings as in the environment, without ESTEIRA_ and in small letters."""
    shutil.copy(TASKS, tmp_path)
    with ExitStack() as workers:
        yield lambda **settings: workers.enter_context(running_worker(tmp_path, database_url, **settings))


@pytest.fixture
def ledger(tmp_path: Path) -> Callable[[], list[str]]:
    """What the tasks noted so far, line by line."""
    path = tmp_path / "ledger"
    return lambda: path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is entered here is left after the test."""
    with ExitStack() as stack:
        yield stack
