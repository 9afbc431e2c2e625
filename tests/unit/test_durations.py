from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.durations import Duration, to_seconds, to_timedelta
from esteira.errors import ConfigurationError


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        (" 1h 30m ", 5400),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        (2.5, 2.5),
        (0, 0),
        (timedelta(minutes=1), 60),
    ],
)
def test_durations_are_read_as_people_write_them(duration: Duration, seconds: float) -> None:
    assert to_seconds(duration) == seconds
    assert to_timedelta(duration) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "duration",
    ["", " ", "10", "m", "10 minutes", "1h x", "-5s", -1, timedelta(-1), float("nan"), float("inf"), "9999999999999w"],
)
def test_what_is_no_duration_is_refused(duration: Duration) -> None:
    with pytest.raises(ConfigurationError):
        to_timedelta(duration)


@given(st.text())
def test_any_text_is_a_duration_or_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert to_timedelta(text) >= timedelta(0)
