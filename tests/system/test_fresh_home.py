"""`esteira dev` for somebody who is not root, owns nothing but an empty home, and may write nowhere else."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from tests.system.test_cli import TASKS, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGES = ("esteira", "service/esteira_service", "worker/esteira_worker", "migrations/esteira_migrations")
NOBODY = 65534
# As another account where we are root; otherwise we are that somebody.
ACCOUNT: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def needed(name: str, extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    """Give a distribution and all that it requires here, with their extras; some more than once."""
    yield name, extras
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        if any(not requirement.marker or requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield from needed(requirement.name, frozenset(requirement.extras))


def install(folder: Path) -> None:
    """Copy Esteira and what it requires, as this test's own environment may lie where only root may read."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / Path(package).name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in {name for name, _ in needed("esteira", frozenset({"embedded"}))}:
        found = distribution(name)
        for file in found.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found.locate_file(file), target)
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.is_dir() or os.access(path, os.X_OK) else 0))


def interpreter(folder: Path) -> str:
    """Return a Python of this version that such an account may run, or skip the test."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (os.path.realpath(sys.executable), f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        check = [python, "-c", f"import sys; sys.exit('{version}' != 'python%d.%d' % sys.version_info[:2])"]
        try:
            if subprocess.run(check, cwd=folder, capture_output=True, check=False, **ACCOUNT).returncode == 0:
                return python
        except OSError:
            continue
    pytest.skip(f"there is no {version} that an account other than root may run")


@pytest.fixture
def home(reachable_folder: Path) -> Path:
    home = reachable_folder / "home"
    home.mkdir(mode=0o700)
    (home / "tiny_tasks.py").write_text(TASKS)
    if ACCOUNT:
        for path in (home, home / "tiny_tasks.py"):
            os.chown(path, NOBODY, NOBODY)
    return home


def test_a_user_with_a_fresh_home_runs_a_task_and_writes_nowhere_else(home: Path, reachable_folder: Path) -> None:
    python = interpreter(reachable_folder)
    installed = reachable_folder / "installed"
    install(installed)
    before = sorted(installed.rglob("*"))
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(installed)}
    environment["PYTHONPYCACHEPREFIX"] = str(home / "compiled")
    esteira = [python, "-P", "-m", "esteira.cli"]
    command = [*esteira, "dev", "--json", "--port", str(free_port()), "--tasks", "tiny_tasks"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=home, env=environment, **pipes, **ACCOUNT) as dev:
        assert dev.stdout is not None
        assert dev.stderr is not None
        line = dev.stdout.readline()
        assert line, dev.stderr.read()
        environment["ESTEIRA_DATABASE_URL"] = json.loads(line)["database_url"]
        enqueue = [*esteira, "enqueue", "tiny.double", '{"number": 21}', "--wait"]
        done = subprocess.run(enqueue, cwd=home, env=environment, check=False, **pipes, **ACCOUNT)
        dev.send_signal(signal.SIGTERM)
        _, said = dev.communicate(timeout=60)
    assert (done.returncode, done.stdout.split()[-1]) == (0, "42"), done.stderr
    assert dev.returncode == 0, said
    assert not re.search("(?i)denied|traceback", said), said
    assert {path.name for path in home.iterdir()} <= {".esteira", "compiled", "tiny_tasks.py"}
    assert sorted(installed.rglob("*")) == before
