"""Two verbs at once, in every order of their steps: it comes out as if one had followed the other."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import pytest

from tests.sql.concurrency.verbs import STATES, lazy, programs
from tests.sql.concurrency.world import THOROUGH


@pytest.mark.timeout(600)
@pytest.mark.parametrize("state", STATES)
async def test_two_verbs_at_once_come_out_as_one_after_the_other(world: Any, state: str, record_property: Any) -> None:
    wrong = []
    for pair in combinations_with_replacement(STATES[state].split(), 2):
        try:
            await world.explore_all([state], programs(*pair), lazy(*pair), all_of_it=THOROUGH)
        except AssertionError as error:
            wrong.append(str(error))
    record_property("permutations", world.runs)
    assert not wrong, "\n\n".join([f"{len(wrong)} pairs", *wrong])
