from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from esteira.job import Job
from esteira_service import examples
from esteira_service.models import JobView, poll_after


def job(**changes: Any) -> Job:
    return Job.model_validate({**examples.RUNNING, **changes})


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


@pytest.mark.parametrize(("age", "expected"), [(0, 1), (9, 1), (45, 4), (3600, 30)])
def test_a_running_job_is_asked_after_the_more_seldom_the_older_it_is(age: float, expected: int) -> None:
    assert poll_after(job(started_at=ago(age + 0.5))) == expected


def test_a_queued_job_is_as_old_as_its_time() -> None:
    assert poll_after(job(status="queued", started_at=None, run_at=ago(45.5))) == 4


@pytest.mark.parametrize(("ahead", "expected"), [(10.5, 11), (10_000, 60)])
def test_a_scheduled_job_is_asked_after_when_its_time_has_come(ahead: float, expected: int) -> None:
    assert poll_after(job(status="queued", started_at=None, run_at=ago(-ahead))) == expected


def test_nobody_need_ask_after_a_job_that_has_ended() -> None:
    assert poll_after(job(status="dead", done=True)) is None


def test_a_view_shows_all_that_a_job_has() -> None:
    shown = JobView.of(job()).model_dump()
    assert {name: shown[name] for name in Job.model_fields} == job().model_dump()
