"""What tables look like in terminals of some widths."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from rich.console import Console

from esteira.cli.tables import jobs_view
from esteira.cli.views import _attempts
from esteira.job import Attempt, Job, JobError

if TYPE_CHECKING:
    from rich.console import RenderableType

NOW = datetime.now(UTC)
ID = UUID("0197c1d2-5b7e-7cc3-98c4-dc0c0c07398f")


def drawn(view: RenderableType, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(view)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = dict.fromkeys(Job.model_fields)
    fields |= {
        "id": ID, "queue": "default", "task": "bills.bill", "priority": "normal", "status": "completed", "done": True,
        "progress": 1.0, "attempt": 1, "failures": 0, "max_attempts": 3, "crashes": 0, "generation": 1, "metadata": {},
        "tags": [], "timeout_seconds": 60, "retry_first_seconds": 5.0, "retry_max_seconds": 60.0,
        "created_at": datetime.now(UTC) - timedelta(seconds=90), "updated_at": NOW, "run_at": NOW, "warnings": [],
    }  # fmt: skip
    return Job(**{**fields, **changes})


def test_a_narrow_terminal_still_shows_why_a_job_is_dead() -> None:
    error = JobError(type="ValueError", message="order 13 has no address " * 5)
    dead = job(status="dead", failures=3, queue="month-ends", error=JobError(type="ValueError", message="no address"))
    lines = drawn(jobs_view([dead, job(), job(status="dead", error=error)], 80), 80)
    assert lines[0] == f"{ID}  dead       100%  1 min   bills.bill"
    assert lines[1] == "  ValueError: no address · failures 3/3 · queue month-ends"
    assert lines[2] == f"{ID}  completed  100%  1 min   bills.bill"
    assert lines[4].startswith("  ValueError: order 13 has no address order 13")
    assert (lines[4][-1], len(lines)) == ("…", 5)


def test_a_wide_terminal_has_a_table() -> None:
    lines = drawn(jobs_view([job()], 140), 140)
    assert lines[0].split() == ["id", "status", "task", "done", "age", "failures", "queue", "note"]


@pytest.mark.parametrize("width", [80, 200])
def test_the_facts_of_an_attempt_stay_on_one_line(width: int) -> None:
    error = JobError(type="ValueError", message="no")
    ended = NOW + timedelta(milliseconds=13)
    attempts = [
        Attempt(
            attempt=number,
            outcome="failed",
            error=error,
            traceback=None,
            worker_id=None,
            started_at=NOW,
            finished_at=ended,
        )
        for number in (1, 2)
    ]
    assert drawn(_attempts(attempts, "ValueError: no"), width) == [
        "  attempt 1  failed  after 13 ms",
        "  attempt 2  failed  after 13 ms",
    ]
