from __future__ import annotations

import pytest

from esteira.cli.text import duration, plain, rough, sentence_of


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-1, "0 ms"),
        (0.34, "340 ms"),
        (12.34, "12.3 s"),
        (60, "1 min"),
        (200.9, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
    ],
)
def test_a_length_of_time_has_two_units_at_most(seconds: float, written: str) -> None:
    assert duration(seconds) == written


@pytest.mark.parametrize(("seconds", "written"), [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (90000, "1 d")])
def test_a_column_gets_the_largest_unit(seconds: float, written: str) -> None:
    assert rough(seconds) == written


@pytest.mark.parametrize(
    ("explanation", "shown"),
    [
        ("`select esteira.retry('0197-a')` gives it another life.", "`esteira retry 0197-a` gives it another life."),
        ("the last error was Oops: no MPEG-TS.. `ls` helps.", "the last error was Oops: no MPEG-TS. `ls` helps."),
        ("scheduled for 2026-11-25 00:30:01.123456+00.", "scheduled for 2026-11-25 00:30:01+00."),
        ("frame at 00:30:01.5 is bad", "frame at 00:30:01.5 is bad"),
    ],
)
def test_an_explanation_speaks_the_language_of_the_terminal(explanation: str, shown: str) -> None:
    assert sentence_of(explanation).plain == shown


def test_control_characters_are_replaced_and_markup_stays_text() -> None:
    shown = plain("\x1b[31mred\x07 [link=x]ação[/link]\nnext")
    assert shown.plain == "�[31mred� [link=x]ação[/link]\nnext"
    assert shown.spans == []
