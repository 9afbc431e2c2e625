"""Each verb with something taken out of it: the permutations that are to notice do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sql.concurrency.verbs import BATCHES, VERBS, lazy, programs

MUTATIONS = {
    "complete without its fence": (
        "complete",
        " and job.attempt = settled.attempt",
        "",
        "second_attempt",
        "late_complete",
        "cancel",
    ),
    "complete that merges what was noted before it waits": (
        "complete",
        "where activity.job_id = any (completed)",
        "where activity.job_id = any (completed) and activity.updated_at < statement_timestamp()",
        "running",
        "progress",
        "complete",
    ),
    "fail without its lock": ("fail", "for update", "", "running", "fail", "complete"),
    "snooze without its lock": ("snooze", "for update", "", "running", "snooze", "complete"),
    "release without its lock": ("release", "for update", "", "running", "release", "complete"),
    "acknowledge_cancel without its lock": (
        "acknowledge_cancel",
        "for update",
        "",
        "cancel_asked",
        "acknowledge_cancel",
        "fail",
    ),
    "crash without its lock": ("crash", "for update", "", "running", "crash", "complete"),
    "rescue without its lock": ("rescue", "for update", "", "running", "rescue", "complete"),
    "retire without its lock": ("retire", "for update", "", "running", "retire", "complete"),
    "hold without its lock": ("hold", "for no key update", "", "running", "handler", "take_over"),
    "save_step without its lock": ("save_step", "for update", "", "running", "save_step", "take_over"),
    "save_step with half a lock": (
        "save_step",
        "for update",
        "for no key update",
        "running",
        "handler_with_step",
        "progress",
    ),
    "progress without its lock": ("progress", "for key share", "", "running", "progress", "complete"),
    "a cancel of queued jobs without its lock": ("cancel_many", "for update", "", "queued", "cancel", "claim"),
    "a cancel of running jobs without its lock": ("cancel_many", "for key share", "", "running", "cancel", "complete"),
    "a cancel that looks once": (
        "cancel",
        "elsif answer in ('completed', 'dead', 'cancelled') then",
        "else",
        "cancelled",
        "cancel",
        "retry",
    ),
    "a tick that goes worker by worker": ("tick", "for update", "", "running_elsewhere running", "tick", "cancel"),
    "retry without its lock": ("retry_many", "for update", "", "dead", "retry", "retry"),
    "edit without its lock": ("edit", "for no key update", "", "queued", "edit_payload", "claim"),
    "a replacement without its lock": ("take_unique", "for update", "", "keyed", "replace", "claim"),
    "expire without its lock": ("expire", "for update skip locked", "", "expired", "expire", "cancel"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_what_is_taken_out_of_a_verb_is_missed(world: Any, mutation: str) -> None:
    verb, without, instead, states, *verbs = MUTATIONS[mutation]
    several = programs(*verbs, of=BATCHES if " " in states else VERBS)
    await world.rewrite(verb, without, instead)
    with pytest.raises(AssertionError):
        await world.explore_all(states.split(), several, lazy(*verbs))
