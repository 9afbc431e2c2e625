from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import pytest
import structlog

from esteira.logging import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def left_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_program_logs_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger().warning("job_failed", job_id="1")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["job_id"]) == ("job_failed", "warning", "1")
    assert line["timestamp"].endswith("Z")


def test_a_person_is_shown_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(form="console")
    structlog.get_logger().warning("job_failed", job_id="1")
    said = capsys.readouterr().err
    assert "job_failed" in said
    assert not said.startswith("{")


def test_lower_levels_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="WARNING")
    structlog.get_logger().info("job_done")
    assert capsys.readouterr().err == ""


def test_a_line_is_one_write_as_processes_share_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = MagicMock(isatty=lambda: False)
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging()
    structlog.get_logger().warning("job_failed")
    (line,) = stream.write.call_args.args
    stream.write.assert_called_once()
    assert line.endswith("}\n")
