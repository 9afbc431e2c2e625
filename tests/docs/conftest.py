"""One service and one worker behind all pages, with the tasks that the pages declare, on one database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, files, page_names
from tests.docs.reader import Reader, answers, at_port, free_port, stop, until
from tests.postgres import PostgresServer

# What these pages say is for a database of their own.
ALONE = ("sql/README.md",)
OpenReader = Callable[[str], Reader]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """All Python files of all pages."""
    folder = tmp_path_factory.mktemp("pages")
    written: dict[str, str] = {}
    for page in page_names():
        for name, text in files(page).items():
            assert written.setdefault(name, text) == text, f"{page} has another {name} than the page before"
            (folder / name).write_text(at_port(text, environment["ESTEIRA_PORT"]))
    return folder


@pytest.fixture(scope="session")
def environment(postgres_bin: Path, postgres_server: PostgresServer) -> dict[str, str]:
    """What a reader's shell knows: the programs, the service's port, and a server for tests."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("ESTEIRA_", "PYTEST_", "PG"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), str(postgres_bin), os.environ["PATH"]])
    port = str(free_port())
    return {
        **bare,
        "PATH": path,
        "ESTEIRA_PORT": port,
        "ESTEIRA_TEST_DATABASE_URL": postgres_server.admin_url,
        "PGTZ": "UTC",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "COLUMNS": "120",
    }


@contextmanager
def running_stack(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run `esteira dev` with the modules that declare an App."""
    modules = sorted(path.stem for path in folder.glob("*.py") if "= App(" in path.read_text())
    command = ["esteira", "dev", "--tasks", *modules]
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True) as process:
        try:
            port = int(environment["ESTEIRA_PORT"])
            until(lambda: process.poll() is not None or answers(port), "esteira dev is up")
            assert process.poll() is None, "esteira dev ended"
            yield
        finally:
            stop(process)


@pytest.fixture(scope="session")
def shared(
    postgres_server: PostgresServer, template_database: str, folder: Path, environment: dict[str, str]
) -> Iterator[dict[str, str]]:
    """The environment of a reader whose service and worker run."""
    with postgres_server.database(template_database) as name:
        url = postgres_server.url(name)
        ours = {**environment, "ESTEIRA_DATABASE_URL": url}
        with running_stack(folder, ours):
            yield ours


@pytest.fixture
def open_reader(request: pytest.FixtureRequest, folder: Path, environment: dict[str, str]) -> Iterator[OpenReader]:
    """Open a page's reader."""
    with ExitStack() as stack:

        def open_one(page: str) -> Reader:
            if page in ALONE:
                url = request.getfixturevalue("empty_database_url")
                return stack.enter_context(Reader(ROOT, {**environment, "ESTEIRA_DATABASE_URL": url}))
            return stack.enter_context(Reader(folder, request.getfixturevalue("shared")))

        yield open_one
