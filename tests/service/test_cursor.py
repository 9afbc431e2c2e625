from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from esteira.job import Job
from esteira.job_filter import JobFilter
from esteira_service import examples
from esteira_service.cursor import read_cursor, write_cursor
from esteira_service.problems import Refusal

ALL = JobFilter()
END = datetime(2026, 3, 1, 9, 0, 12, 345678, tzinfo=UTC)


def job(**changes: Any) -> Job:
    return Job.model_validate({**examples.COMPLETED, "finished_at": END, **changes})


def test_a_cursor_is_read_back() -> None:
    assert read_cursor(write_cursor(job(), ALL, "-created_at"), ALL, "-created_at") == (None, job().id)
    assert read_cursor(write_cursor(job(), ALL, "finished_at"), ALL, "finished_at") == (END, job().id)


def test_a_cursor_needs_no_escaping() -> None:
    cursor = write_cursor(job(), ALL, "-created_at")
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("sort", ["created_at", "-finished_at"])
def test_a_cursor_of_another_order_is_refused(sort: Any) -> None:
    with pytest.raises(Refusal) as refused:
        read_cursor(write_cursor(job(), ALL, "-created_at"), ALL, sort)
    assert "another query" in refused.value.errors[0].detail


def test_a_cursor_of_another_filter_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        read_cursor(write_cursor(job(), JobFilter(queue="a"), "created_at"), JobFilter(queue="b"), "created_at")
    assert "another query" in refused.value.errors[0].detail


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 42, "A" * 44, "A" * 42 + "B", " " * 43, "=" * 43])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Refusal, match="not valid"):
        read_cursor(cursor, ALL, "-created_at")
