"""More than two sessions, and batches of several jobs in opposite orders."""

from __future__ import annotations

import random
import re
from itertools import combinations_with_replacement
from typing import Any

import pytest

from tests.sql.concurrency.verbs import BATCHES, lazy, programs
from tests.sql.concurrency.world import THOROUGH

THREE = [
    ("running", "complete", "take_over", "cancel"),
    ("running", "complete", "rescue", "claim"),
    ("running", "fail", "cancel", "claim"),
    ("running", "release", "cancel", "cancel"),
    ("running", "save_step", "take_over", "cancel"),
    ("running", "handler", "cancel", "rescue"),
    ("progressed", "progress", "cancel", "handler"),
    ("crashed_twice", "crash", "rescue", "complete"),
    ("cancel_asked", "acknowledge_cancel", "rescue", "fail"),
    ("queued", "claim", "cancel", "edit_payload"),
    ("keyed", "enqueue", "replace", "claim"),
    ("keyed_running", "enqueue", "complete", "reject"),
    ("keyed_dead", "retry", "enqueue", "discard"),
    ("keyed_cancelled", "retry", "retry", "replace"),
    ("expired", "purge", "expire", "replace"),
    ("made_key", "edit_payload", "enqueue_made_key", "claim"),
    ("dead", "retry", "discard", "retain"),
]
SEVERAL = {
    "running running running": "complete release cancel crash rescue tick",
    "running_elsewhere running": "cancel tick rescue claim release",
    "queued running cancel_asked": "complete release cancel claim purge crash rescue",
    "dead cancelled dead": "retry discard retain cancel",
    "keyed_dead dead keyed_cancelled": "retry discard cancel claim enqueue replace",
    "keyed running": "enqueue replace claim cancel complete purge",
}
SESSIONS, SCHEDULES = 8, 1000 if THOROUGH else 25


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("state", "verbs"), [(state, verbs) for state, *verbs in THREE])
async def test_three_verbs_at_once_come_out_as_one_after_the_other(
    world: Any, state: str, verbs: list[str], record_property: Any
) -> None:
    allowed = await world.explore([state], programs(*verbs), lazy(*verbs))
    if THOROUGH:
        await world.explore_queueing([state], programs(*verbs), allowed)
        await world.explore_inside([state], programs(*verbs), allowed)
    record_property("permutations", world.runs)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("states", SEVERAL)
async def test_two_batches_at_once_come_out_as_one_after_the_other(
    world: Any, states: str, record_property: Any
) -> None:
    wrong = []
    for pair in combinations_with_replacement(SEVERAL[states].split(), 2):
        try:
            await world.explore_all(states.split(), programs(*pair, of=BATCHES), lazy(*pair), all_of_it=THOROUGH)
        except AssertionError as error:
            wrong.append(str(error))
    record_property("permutations", world.runs)
    assert not wrong, "\n\n".join([f"{len(wrong)} pairs", *wrong])


async def test_two_cancels_that_waited_for_a_release_do_not_wait_for_each_other(world: Any) -> None:
    three = programs("release", "cancel", "cancel")
    schedule = ["release", "cancel", "cancel too", "release", "gate"]
    for place in range(1, 13):
        _, outcome = await world.run(["running"], three, schedule, {"cancel": place, "cancel too": place})
        assert "40P01" not in str(outcome), place


@pytest.mark.parametrize("states", SEVERAL)
async def test_eight_batches_at_once_leave_every_job_in_one_piece(
    world: Any, states: str, record_property: Any
) -> None:
    """Too many orders to try them all: some, by lot, the same in every run."""
    lot = random.Random(states)
    verbs = SEVERAL[states].split()
    for _ in range(SCHEDULES):
        chosen = programs(*(lot.choice(verbs) for _ in range(SESSIONS)), of=BATCHES)
        schedule = lot.sample([name for name in chosen for _ in chosen[name]], sum(map(len, chosen.values())))
        _, outcome = await world.run(states.split(), chosen, schedule)
        for _, answer in outcome.answers:
            # Jobs that change their status while a batch waits are met out of order: it is to be sent again.
            assert re.match(r"\[(\[|\]|'(ES|40P01))", answer), f"{schedule}: {outcome}"
    record_property("permutations", world.runs)
