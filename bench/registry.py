"""The systems and scenarios that there are, in the order in which people read them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from bench.scenario import Scenario
from bench.system import System

_SYSTEMS = ("esteira", "raw", "graphile_worker", "pg_boss", "pgqueuer", "procrastinate", "celery")
_SCENARIOS = (
    "single",
    "enqueue",
    "drain",
    "pickup",
    "steady",
    "snapshot",
    "future",
    "finished",
    "handlers",
    "payloads",
    "memory",
    "post",
    "lists",
    "poll",
    "cancel",
    "recovery",
)


def systems() -> Mapping[str, System]:
    """Return all systems by the names of their files."""
    return {name: _found("systems", name).SYSTEM for name in _SYSTEMS}


def scenarios() -> Mapping[str, Scenario]:
    """Return all scenarios by name."""
    return {name: _found("scenarios", name).SCENARIO for name in _SCENARIOS}


def _found(folder: str, name: str) -> Any:
    return importlib.import_module(f"bench.{folder}.{name}")
