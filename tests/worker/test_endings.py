from __future__ import annotations

import json

import pytest

from esteira import App, Fail, LeaseLost, Retry, Snooze
from esteira_worker.endings import Completed, Failed, Lost, Snoozed, completed, ending_of, process_died

app = App("t")


@app.task(retry=Retry(never_on=(KeyError,)))
async def task() -> None: ...


def failure(error: BaseException) -> tuple[str, str, bool]:
    ending = ending_of(error, task)
    assert isinstance(ending, Failed)
    said = json.loads(ending.error)
    return said["type"], said["message"], ending.retryable


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_ordinary_error_may_be_tried_again() -> None:
    assert failure(ValueError("no")) == ("ValueError", "no", True)


@pytest.mark.parametrize("error", [KeyError("k"), Fail("k")])
def test_what_the_task_calls_hopeless_is_not_tried_again(error: Exception) -> None:
    assert failure(error)[2] is False


def test_an_error_whose_message_cannot_be_had_is_still_a_failure() -> None:
    assert failure(Unspeakable()) == ("Unspeakable", "(its message cannot be had: RuntimeError)", True)


def test_messages_are_made_storable_and_not_endless() -> None:
    _, message, _ = failure(ValueError("\0\ud800" + "x" * 100_000))
    assert message.startswith("\\0\\ud800")
    assert len(message) < 10_100


def test_a_snooze_and_a_lost_lease_are_no_failures() -> None:
    assert isinstance(ending_of(Snooze("1s"), task), Snoozed)
    assert isinstance(ending_of(LeaseLost(), task), Lost)


@pytest.mark.parametrize("value", [object(), "\0", "\ud800"])
def test_a_result_without_a_json_form_completes_its_job_all_the_same(value: object) -> None:
    ending = completed(value)
    assert ending.result == "null"
    assert "could not be stored" in str(ending.result_error)


def test_a_result_that_is_too_large_is_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira_worker.endings._LARGEST_RESULT", 10)
    assert completed("short") == Completed('"short"')
    assert "12 characters are more than 10" in str(completed("x" * 10).result_error)


def test_a_signal_that_killed_a_process_is_named() -> None:
    assert "was killed by SIGSEGV" in process_died(-11).error
