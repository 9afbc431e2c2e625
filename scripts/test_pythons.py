"""Run the tests that depend on Python's version on each further Python that is here: 3.11 to 3.13.

Each gets a throwaway environment with all pins of constraints.txt. Pythons are looked for by name, then under ~/.pyenv.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSIONS = ((3, 11), (3, 12), (3, 13))
ROOT = Path(__file__).resolve().parent.parent
# Where a version of Python shows: event loops, threads and processes, annotations, models. About a minute on two cores.
TESTS = [
    "tests/unit",
    "tests/worker",
    "tests/hot_path/test_instructions.py",
    *(f"tests/service/test_{name}.py" for name in ("server", "models", "openapi")),
]
LEFT_OUT = [
    *(f"--ignore=tests/unit/{folder}" for folder in ("cli", "doctor", "testing")),
    "--ignore-glob=**/test_embedded*.py",
    "--ignore-glob=**/test_deployment_files.py",
]


def find(version: tuple[int, int]) -> str | None:
    """Return a Python of that version that can make environments, or None."""
    name = f"python{version[0]}.{version[1]}"
    return next((python for python in _candidates(name) if _is(python, version)), None)


def _candidates(name: str) -> Iterator[str]:
    found = shutil.which(name)
    if found is not None:
        yield found
    yield from sorted(map(str, Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}.*/bin/{name}")))


def _is(python: str, version: tuple[int, int]) -> bool:
    # A shim of pyenv's stands there for versions that are not switched on as well.
    check = f"import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != {version})"
    return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0


def test_on(python: str, pytest_arguments: list[str]) -> None:
    """Install everything into an environment of this Python and run the tests there."""
    with tempfile.TemporaryDirectory(prefix="esteira-python-") as folder:
        venv = Path(folder) / "venv"
        make = ["make", "--no-print-directory", f"PYTHON={python}", f"VENV={venv}", "venv"]
        subprocess.run(make, cwd=ROOT, check=True)
        command = [
            str(venv / "bin" / "python"),
            "-m",
            "pytest",
            "--quiet",
            "--numprocesses",
            "2",
            "-p",
            "no:cacheprovider",
        ]
        subprocess.run([*command, *LEFT_OUT, *TESTS, *pytest_arguments], cwd=ROOT, check=True)


def main() -> int:
    """Go through the versions; returns 1 where tests failed on one."""
    for version in VERSIONS:
        name = f"Python {version[0]}.{version[1]}"
        if version == sys.version_info[:2]:
            continue
        python = find(version)
        if python is None:
            print(f"test_pythons: there is no {name} here, so nothing is tested on it", flush=True)
            continue
        print(f"test_pythons: {name}, {python}", flush=True)
        try:
            test_on(python, sys.argv[1:])
        except subprocess.CalledProcessError as error:
            print(f"test_pythons: failed on {name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
