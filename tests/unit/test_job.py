from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from esteira.job import Job

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ROW: dict[str, Any] = {
    "id": uuid4(), "queue": "default", "task": "t", "priority": "normal", "status": "running", "reason": None,
    "progress": 0.5, "progress_message": None, "current_step": None, "attempt": 1, "failures": 0, "max_attempts": 3,
    "retry_first_seconds": 5.0, "retry_max_seconds": 3600.0,
    "crashes": 0, "generation": 1, "metadata": "{}", "tags": [], "error": None, "result_error": None,
    "unique_key": None, "worker_id": None, "timeout_seconds": 3600.0, "created_at": NOW, "updated_at": NOW,
    "run_at": NOW, "expires_at": None,
    "started_at": NOW, "finished_at": None, "cancel_requested_at": None, "run_time": None,
}  # fmt: skip


def test_json_columns_are_read_and_others_kept() -> None:
    error = '{"type": "Boom", "message": "no", "attempt": 1, "at": "2030-01-01T00:00:00Z"}'
    job = Job.from_row({**ROW, "payload": '{"a": [1]}', "metadata": '{"b": 2}', "error": error})
    assert (job.payload, job.metadata, job.result) == ({"a": [1]}, {"b": 2}, None)
    assert job.error is not None
    assert (job.error.type, job.error.at) == ("Boom", NOW)


def test_a_job_is_done_in_its_final_statuses_only() -> None:
    done = {status for status in ("queued", "running", "waiting") if Job.from_row({**ROW, "status": status}).done}
    assert not done
    for status in ("completed", "dead", "cancelled"):
        assert Job.from_row({**ROW, "status": status}).done


def test_the_run_time_is_shown_in_seconds() -> None:
    assert Job.from_row(ROW).execution_time_seconds is None
    assert Job.from_row({**ROW, "run_time": timedelta(milliseconds=1500)}).execution_time_seconds == 1.5


def test_a_result_that_was_not_stored_is_a_warning() -> None:
    assert Job.from_row(ROW).warnings == []
    (warning,) = Job.from_row({**ROW, "result_error": "too odd"}).warnings
    assert (warning.code, warning.detail) == ("RESULT_NOT_STORED", "the result could not be stored: too odd")


def test_the_row_is_left_as_it_was() -> None:
    row = dict(ROW)
    Job.from_row(row)
    assert row == ROW
