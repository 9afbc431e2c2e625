"""The built wheel, alone in a clean environment, is all that a machine needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl"))).namelist()


def test_the_wheel_holds_our_four_packages_and_nothing_else(wheel: list[str]) -> None:
    packages = {name.split("/")[0] for name in wheel if ".dist-info/" not in name}
    assert packages == {"esteira", "esteira_service", "esteira_worker", "esteira_migrations"}


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("esteira", "esteira"),
        ("esteira_service", "service/esteira_service"),
        ("esteira_worker", "worker/esteira_worker"),
        ("esteira_migrations", "migrations/esteira_migrations"),
    ],
)
def test_every_source_file_and_frozen_sql_file_is_in_the_wheel(wheel: list[str], package: str, source: str) -> None:
    files = [path for path in (ROOT / source).rglob("*") if path.suffix in (".py", ".sql", ".mako", ".typed")]
    assert files
    assert {f"{package}/{path.relative_to(ROOT / source).as_posix()}" for path in files} <= set(wheel)


def test_the_wheel_tells_type_checkers_that_it_is_typed(wheel: list[str]) -> None:
    assert "esteira/py.typed" in wheel


@pytest.mark.timeout(600)  # an empty package cache has to be filled first; with a full one it is under a minute
def test_the_images_commands_migrate_serve_and_work_and_stop_from_the_wheel(empty_database_url: str) -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "image_check.py"],
        env={**os.environ, "ESTEIRA_DATABASE_URL": empty_database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.endswith("image_check: all true\n")
