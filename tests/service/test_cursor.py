from __future__ import annotations

from uuid import uuid4

import pytest

from esteira_service.cursor import read_cursor, write_cursor
from esteira_service.problems import Refusal


def test_a_cursor_is_read_back() -> None:
    job_id = uuid4()
    assert read_cursor(write_cursor(job_id)) == job_id


def test_a_cursor_needs_no_escaping() -> None:
    assert all(write_cursor(uuid4()).replace("-", "").replace("_", "").isalnum() for _ in range(100))


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 21, "A" * 23, "A" * 21 + "B", " " * 22])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Refusal, match="not valid"):
        read_cursor(cursor)
