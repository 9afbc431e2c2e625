from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from esteira import App, Context, Fail, LeaseLost, Retry, Snooze, SyncContext
from esteira.signature import Signature
from esteira_worker.endings import Completed, Failed, Lost, Snoozed, completed, ending_of, process_died

app = App("t")


@app.task(retry=Retry(never_on=(KeyError,)))
async def task() -> None: ...


def task_of(function: Any) -> Signature:
    return Signature(function, SyncContext, Context)


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
    ending = completed(value, task_of(lambda: None))
    assert ending.result == "null"
    assert "has no JSON form" in str(ending.result_error) or "NUL" in str(ending.result_error)


def test_a_result_that_is_too_large_is_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira_worker.endings._LARGEST_RESULT", 10)
    signature = task_of(lambda: None)
    assert completed("short", signature) == Completed('"short"')
    assert "12 characters are more than 10" in str(completed("x" * 10, signature).result_error)


def test_a_signal_that_killed_a_process_is_named() -> None:
    assert "was killed by SIGSEGV" in process_died(-11).error


class Receipt(BaseModel):
    day: date
    pages: tuple[int, ...]

    @field_validator("pages")
    @classmethod
    def none_is_13(cls, pages: tuple[int, ...]) -> tuple[int, ...]:
        if 13 in pages:
            raise RuntimeError("unlucky")
        return pages


def receipt() -> Receipt: ...
def number() -> int: ...
def nothing() -> None: ...
def maybe() -> int | None: ...


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (receipt, Receipt(day=date(2030, 1, 1), pages=(1, 2)), '{"day":"2030-01-01","pages":[1,2]}'),
        (receipt, {"day": "2030-01-01", "pages": [1, 2]}, '{"day":"2030-01-01","pages":[1,2]}'),
        (number, 7, "7"),
        (nothing, None, "null"),
        (maybe, None, "null"),
        (lambda: None, ["what", "ever"], '["what","ever"]'),
    ],
)
def test_a_result_of_the_declared_type_is_stored(function: Any, value: Any, text: str) -> None:
    assert completed(value, task_of(function)) == Completed(text)


@pytest.mark.parametrize(
    ("function", "value", "why"),
    [
        (receipt, {"day": "2030-01-01"}, "Field required"),
        (receipt, {"day": "2030-01-01", "pages": [13]}, "RuntimeError: unlucky"),
        (receipt, None, "should be an object"),
        (number, "seven", "valid integer"),
        (number, None, "valid integer"),
        (nothing, 7, "should be null"),
    ],
)
def test_a_result_of_another_type_completes_its_job_with_a_warning(function: Any, value: Any, why: str) -> None:
    ending = completed(value, task_of(function))
    assert ending.result == "null"
    assert "is not what the task declares to return" in str(ending.result_error)
    assert why in str(ending.result_error)
