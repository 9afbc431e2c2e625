from __future__ import annotations

from typing import Any

import pytest

from esteira import ConfigurationError, Unique


def test_the_live_job_is_the_answer_if_nothing_else_is_said() -> None:
    assert (Unique("id", "day").fields, Unique("id").on_conflict) == (("id", "day"), "return")


@pytest.mark.parametrize(
    ("fields", "options", "hint"),
    [
        ((), {}, "each once, not: none"),
        (("id", "id"), {}, "each once, not: id, id"),
        (("id",), {"on_conflict": "ignore"}, '"ignore" is none of return, replace, reject'),
    ],
)
def test_what_makes_no_key_is_refused(fields: tuple[str, ...], options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        Unique(*fields, **options)
