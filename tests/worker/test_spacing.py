"""How often what may be dear is looked at."""

from __future__ import annotations

import pytest

from esteira_worker.spacing import Spacing


def pause(spacing: Spacing, *, took: float, sharers: int = 1) -> tuple[bool, bool]:
    """Look for so long; return whether the next look is due before a pause of one second a sharer, and after it."""
    spacing.looked(100.0, 100.0 + took, sharers)
    return spacing.due(100 + took + 0.79 * sharers), spacing.due(100 + took + 1.21 * sharers)


def test_the_first_look_is_due_at_once() -> None:
    assert Spacing().due(0)


@pytest.mark.parametrize("sharers", [1, 40])
def test_cheap_looks_come_once_a_second_over_all(sharers: int) -> None:
    spacing = Spacing()
    assert pause(spacing, took=0.01, sharers=sharers) == (False, True)
    assert pause(spacing, took=0.01, sharers=sharers) == (False, True)


def test_one_that_was_held_up_does_not_put_off_the_next() -> None:
    spacing = Spacing()
    assert pause(spacing, took=30) == (False, True)
    assert pause(spacing, took=0.01) == (False, True)
    assert pause(spacing, took=30) == (False, True)


def test_dear_ones_take_a_twentieth_of_the_time() -> None:
    spacing = Spacing()
    pause(spacing, took=2)
    spacing.looked(200.0, 202.0, 1)
    assert not spacing.due(202 + 0.79 * 40)
    assert spacing.due(202 + 1.21 * 40)
