"""Find the tasks in the modules that a worker was given."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from esteira import App, ConfigurationError, Task


def load_tasks(modules: Iterable[str]) -> dict[str, Task[..., Any]]:
    """Import the modules and return the tasks of every App found in them, by name.

    The current directory is appended to the import path, never put in front of installed packages.
    Raises ConfigurationError for a module that is missing or holds no App, and for a task declared twice.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    apps: dict[int, App] = {}
    for name in modules:
        found = [value for value in vars(_import(name)).values() if isinstance(value, App)]
        if not found:
            raise ConfigurationError(f'the module "{name}" holds no esteira.App: write `app = App("…")` in it')
        if not any(app.tasks for app in found):
            raise ConfigurationError(
                f'the module "{name}" declares no task: its App has none; write @app.task() above a function'
            )
        apps.update((id(app), app) for app in found)
    tasks: dict[str, Task[..., Any]] = {}
    for app in apps.values():
        for task in app.tasks.values():
            if task.name in tasks:
                raise ConfigurationError(f'the task "{task.name}" is declared by two Apps')
            tasks[task.name] = task
    if not tasks:
        raise ConfigurationError(
            "no tasks: name the modules that declare them, with `esteira worker --tasks shop.tasks` or ESTEIRA_TASKS"
        )
    return tasks


def _import(name: str) -> Any:
    where = f"here ({Path.cwd()}) or among the installed packages"
    if name.startswith("."):
        raise ConfigurationError(f'there is no module "{name}" {where}{_meant(name)}')
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigurationError(f'there is no module "{name}" {where}{_meant(name)}') from None
        raise


def _meant(name: str) -> str:
    """Suggest the module where a file was named, or an App in a module."""
    module = name.partition(":")[0].removesuffix(".py").strip("./").replace("/", ".")
    return f": write {module}, the module as `import` has it" if module and module != name else ""
