from __future__ import annotations

import json
import math

import pytest

from esteira_service.unstorable import find_unstorable, find_unstorable_text, nesting


def test_a_sound_document_has_no_faults() -> None:
    assert find_unstorable({"task": "a.b", "payload": [1, 2.5, None, True, "é\U0001f600", {}]}) == []


def test_a_place_is_a_json_pointer() -> None:
    [fault] = find_unstorable({"a/b": [{"c~d": math.nan}]})
    assert fault.pointer == "/a~1b/0/c~0d"


def test_a_place_can_be_printed_even_where_a_key_cannot() -> None:
    [_, inner] = find_unstorable({"\ud800": "\0"})
    assert inner.pointer == "/?"


def test_twenty_faults_are_enough() -> None:
    assert len(find_unstorable(["\0"] * 1000)) == 20


def test_nothing_is_found_in_what_is_no_json() -> None:
    assert find_unstorable_text(b"{") == []
    assert find_unstorable_text(b"\xff") == []


@pytest.mark.parametrize(
    ("text", "depth"),
    [("1", 0), ("{}", 1), ('[{"a": []}, [[]]]', 3), (r'{"[[": "[[\"[[{", "\\": [1]}', 2), ('["\\\\", "[[["]', 1)],
)
def test_brackets_in_text_do_not_nest(text: str, depth: int) -> None:
    assert json.loads(text) is not None
    assert nesting(text.encode()) == depth
