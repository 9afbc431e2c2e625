"""How often what may be dear is looked at."""

from __future__ import annotations

import pytest

from esteira_worker.spacing import Spacing


def look(spacing: Spacing, *, seconds: float) -> None:
    """Look for so long, until 100."""
    spacing.looked(100 - seconds, 100)


def pauses(spacing: Spacing, seconds: float, *, sharers: int = 1) -> bool:
    """Say whether the next look is due after a pause of so many seconds, a fifth more or less."""
    return not spacing.due(100 + 0.79 * seconds, sharers) and spacing.due(100 + 1.21 * seconds, sharers)


def test_the_first_look_is_due_at_once() -> None:
    assert Spacing().due(0, 1)


@pytest.mark.parametrize("sharers", [1, 40])
def test_cheap_looks_come_once_a_second_over_all(sharers: int) -> None:
    spacing = Spacing()
    for _ in range(2):
        look(spacing, seconds=0.01)
        assert pauses(spacing, sharers, sharers=sharers)


def test_who_is_left_alone_looks_as_often_as_one_alone() -> None:
    spacing = Spacing()
    look(spacing, seconds=0.01)
    assert pauses(spacing, 500, sharers=500)
    assert pauses(spacing, 1)


def test_one_that_was_held_up_does_not_put_off_the_next() -> None:
    spacing = Spacing()
    for seconds in (30, 0.01, 30):
        look(spacing, seconds=seconds)
        assert pauses(spacing, 1)


@pytest.mark.parametrize(("took", "pause"), [(0.2, 4), (2, 40), (30, 60)])
def test_dear_ones_take_a_twentieth_of_the_time_and_come_once_a_minute_at_least(took: float, pause: float) -> None:
    spacing = Spacing()
    look(spacing, seconds=took)
    look(spacing, seconds=took)
    assert pauses(spacing, pause)
