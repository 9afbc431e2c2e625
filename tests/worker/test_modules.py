from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from esteira import ConfigurationError
from esteira_worker.modules import load_tasks

TASK = "from esteira import App\napp = App('{}')\n@app.task()\nasync def run() -> None: ...\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_tasks_are_found_in_the_current_directory_by_their_app(here: Path) -> None:
    (here / "mod_shop.py").write_text(TASK.format("shop"))
    (here / "mod_mail.py").write_text("from mod_shop import app as other\n" + TASK.format("mail"))
    assert set(load_tasks(["mod_shop", "mod_mail"])) == {"shop.run", "mail.run"}


def test_the_current_directory_never_stands_in_front_of_installed_packages(here: Path) -> None:
    (here / "esteira_worker.py").write_text("raise AssertionError")
    (here / "mod_shop.py").write_text(TASK.format("shop"))
    load_tasks(["mod_shop"])
    assert sys.path[-1] == str(here)


def test_a_task_of_two_apps_is_refused(here: Path) -> None:
    for name in ("mod_one", "mod_two"):
        (here / f"{name}.py").write_text(TASK.format("shop"))
    with pytest.raises(ConfigurationError, match=r'"shop\.run" is declared by two'):
        load_tasks(["mod_one", "mod_two"])


@pytest.mark.parametrize("name", ["mod_missing", "mod_missing.tasks"])
def test_a_missing_module_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f'there is no module "{name}" here'):
        load_tasks([name])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mod_own.py", "mod_own"),
        ("mod_own:app", "mod_own"),
        ("./mod_own.py", "mod_own"),
        ("mod_own/tasks.py", "mod_own.tasks"),
    ],
)
def test_a_file_or_an_app_is_answered_with_its_module(here: Path, written: str, meant: str) -> None:
    (here / "mod_own.py").write_text(TASK.format("shop"))
    with pytest.raises(ConfigurationError, match=f'no module "{written}" here .*: write {meant}, the module'):
        load_tasks([written])


def test_an_app_without_tasks_is_told_how_it_gets_one(here: Path) -> None:
    (here / "mod_bare.py").write_text("from esteira import App\napp = App('bare')\n")
    with pytest.raises(ConfigurationError, match='"mod_bare" declares no task: its App has none; write @app'):
        load_tasks(["mod_bare"])


def test_a_module_that_misses_something_else_fails_as_python_does(here: Path) -> None:
    (here / "mod_shop.py").write_text("import mod_not_installed\n")
    with pytest.raises(ModuleNotFoundError, match="mod_not_installed"):
        load_tasks(["mod_shop"])


def test_no_modules_and_no_app_are_refused_with_what_to_do(here: Path) -> None:
    (here / "mod_empty.py").write_text("")
    with pytest.raises(ConfigurationError, match="ESTEIRA_TASKS"):
        load_tasks([])
    with pytest.raises(ConfigurationError, match="holds no esteira"):
        load_tasks(["mod_empty"])
