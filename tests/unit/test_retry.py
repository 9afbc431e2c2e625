from __future__ import annotations

from datetime import timedelta

import pytest

from esteira import ConfigurationError, Retry


def test_a_retry_without_arguments_is_the_documented_one() -> None:
    retry = Retry()
    assert (retry.attempts, retry.first, retry.max, retry.never_on) == (3, timedelta(seconds=5), timedelta(hours=1), ())


def test_durations_are_read() -> None:
    assert Retry(first="2s", max="5m") == Retry(first=2, max=300)


@pytest.mark.parametrize("arguments", [{"attempts": 0}, {"first": "-1s"}, {"max": "soon"}])
def test_what_makes_no_sense_is_refused(arguments: dict[str, int | str]) -> None:
    with pytest.raises(ConfigurationError):
        Retry(**arguments)  # type: ignore[arg-type]
