from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from esteira.errors import ConfigurationError, InvalidInput
from esteira.running import Steps, check_progress, is_storable


def test_a_step_needs_a_name_that_can_be_stored() -> None:
    for name in ("", "x" * 201, "\0", "\ud800"):
        with pytest.raises(ConfigurationError, match="a name of 1 to 200 characters"):
            Steps(()).begin(name, int)
    assert Steps(()).begin("x" * 200, int).name == "x" * 200


async def given() -> None: ...


@pytest.mark.parametrize(("make", "kind"), [(given, "coroutine"), (int, "int"), (lambda: None, "NoneType")])
def test_a_step_that_was_given_no_function_says_what_to_write(make: Callable[[], Any], kind: str) -> None:
    steps = Steps(())
    with pytest.raises(
        ConfigurationError, match=rf'"x" was given a {kind}, not a function: write ctx.step\("x", function'
    ):
        steps.begin("x", make())
    assert steps.begin("x", given).name == "x"


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_progress_is_a_share(share: float) -> None:
    with pytest.raises(ConfigurationError, match="a share from 0 to 1"):
        check_progress(share, None)


@pytest.mark.parametrize("text", ["\0", "a\ud800"])
def test_a_message_that_cannot_be_stored_is_refused(text: str) -> None:
    assert not is_storable(text)
    with pytest.raises(InvalidInput, match="PostgreSQL cannot store"):
        check_progress(None, text)


def test_progress_that_can_be_shown_is_let_pass() -> None:
    check_progress(0, "a\nb ü 🎞")
    check_progress(1, None)
    check_progress(None, None)


def test_without_declared_steps_there_is_no_share() -> None:
    assert Steps(()).share_after("a") is None


def test_finished_steps_that_are_no_longer_declared_do_no_harm() -> None:
    steps = Steps(("a", "b"))
    steps.remember({"dropped": "1", "a": "1"})
    assert steps.share_after("a") == 0.5
