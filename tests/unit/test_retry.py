from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from esteira import ConfigurationError, Retry, RetryChange


def test_a_retry_without_arguments_is_the_documented_one() -> None:
    retry = Retry()
    assert (retry.attempts, retry.first, retry.max, retry.never_on) == (3, timedelta(seconds=5), timedelta(hours=1), ())


def test_durations_are_read() -> None:
    assert Retry(first="2s", max="5m") == Retry(first=2, max=300)


@pytest.mark.parametrize("arguments", [{"attempts": 0}, {"attempts": "3"}, {"first": "-1s"}, {"max": "soon"}])
@pytest.mark.parametrize("kind", [Retry, RetryChange])
def test_what_makes_no_sense_is_refused(kind: Any, arguments: dict[str, int | str]) -> None:
    with pytest.raises(ConfigurationError):
        kind(**arguments)


@pytest.mark.parametrize("arguments", [{"first": "10s", "max": "1s"}, {"first": "2h"}, {"max": "1s"}])
def test_a_first_backoff_that_is_longer_than_the_longest_is_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="is longer than the longest"):
        Retry(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("named", [("ValueError",), "ValueError", (ValueError()), (ValueError, int), (None,)])
def test_what_is_no_exception_is_refused_where_it_is_declared(named: Any) -> None:
    with pytest.raises(ConfigurationError, match="is no exception's class: write the class itself"):
        Retry(never_on=named)


@pytest.mark.parametrize("named", [ValueError, [ValueError], (ValueError,)])
def test_one_exception_and_a_list_of_them_are_taken(named: Any) -> None:
    assert Retry(never_on=named).never_on == (ValueError,)


def test_a_change_keeps_what_it_does_not_name() -> None:
    change = RetryChange(attempts=2, first="2s")
    assert (change.attempts, change.first, change.max) == (2, timedelta(seconds=2), None)
