"""A person at a terminal: the real commands, with a real worker on the other side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.processes import eventually

if TYPE_CHECKING:
    from tests.system.conftest import StartWorker

Type = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def type_(database_url: str) -> Type:
    """Type a command; what comes of it."""

    def run(line: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "ESTEIRA_DATABASE_URL": database_url}
        command = [sys.executable, "-m", "esteira.cli", *line.split()]
        return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)

    return run


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stderr == ""
    return json.loads(done.stdout)


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """Return what the doctor says of each thing, without durability, which servers of tests have not."""
    found: dict[str, list[str]] = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding["check"], []).append(finding["level"])
    found.pop("durability")
    return found


@pytest.mark.timeout(300)  # two dozen programs, one after the other
def test_jobs_are_enqueued_paused_looked_at_and_ended_by_commands(type_: Type, start_worker: StartWorker) -> None:
    worker = start_worker()
    eventually(lambda: [one["state"] for one in answer(type_("workers --json"))] == ["alive"], 30)
    lines = "".join(f'{{"a": {number}, "b": 1}}\n' for number in range(20))
    first = type_("enqueue t.add --lines - --idempotency-key notes --tag imported", lines)
    again = type_("enqueue t.add --lines - --idempotency-key notes --tag imported", lines)
    assert (first.returncode, first.stderr) == (0, "esteira: 20 lines: 20 enqueued\n")
    assert (again.stdout, again.stderr) == (first.stdout, "esteira: 20 lines: 20 enqueued before\n")
    eventually(lambda: type_("jobs --tag imported --status completed --count").stdout == "20\n", 60)

    assert type_("pause default").returncode == 0
    waiting = type_('enqueue t.add {"a":1,"b":2}').stdout.strip()
    assert "paused" in type_(f"explain {waiting}").stdout
    assert findings(type_("doctor --json"))["pauses"] == ["warning"]
    assert type_("cancel --status queued").returncode == 2
    assert type_("cancel --status queued --dry-run").stdout == "would cancel 1 job (1 queued)\n"
    assert type_("cancel --status queued --yes").stdout == "cancelled 1 job\n"
    assert type_(f"edit {waiting} --priority high").returncode == 4
    assert type_("resume default").returncode == 0
    assert type_(f"retry {waiting}").returncode == 0
    assert type_(f"status {waiting} --watch --json").returncode == 0

    healthy = findings(type_("doctor --json"))
    assert {check: levels for check, levels in healthy.items() if levels != ["ok"]} == {}
    assert "listeners" in healthy
    [one] = answer(type_("workers --json"))
    assert type_(f"drain {one['id']}").returncode == 0
    assert worker.wait(60) == 0
    assert findings(type_("doctor --json"))["workers"] == ["note"]
