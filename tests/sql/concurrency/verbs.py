"""The verbs, as programs, and the states in which each has something to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sql.concurrency.driver import transaction
from tests.sql.concurrency.world import THOROUGH

if TYPE_CHECKING:
    from collections.abc import Mapping

# Without the backoff, which is random.
ERROR = """'{"type": "T", "message": "m"}'"""
COMPLETE = "select esteira.complete(array[test.job()], array[test.attempt()], array['2']::jsonb[])"
# A handler that has lost its lease rolls back, as `ctx.transaction()` does.
HOLD = "select test.sure(esteira.hold(test.job(), test.attempt()))"
SAVE_STEP = "select esteira.save_step(test.job(), test.attempt(), 'first', '2', esteira.now(), 0.5)"
PROGRESS = "select esteira.progress(test.job(), test.attempt(), 0.7, 'on its way', 'second')"
RESCUE = "select esteira.rescue(test.worker())"
CLAIM = "select * from test.claim()"
# What the next attempt finds: from then on nobody else may add to it.
LOOK = "select name, result from esteira.step where job_id = test.job()"
LATER = "select set_config('esteira.fake_now', (now() + interval '1 hour')::text, true) <> ''"
EARLIER = "test.attempt() - 1"

VERBS: Mapping[str, tuple[str, ...]] = {
    # Of the worker that holds it.
    "claim": (CLAIM,),
    "complete": (COMPLETE,),
    "fail": (f"select esteira.fail(test.job(), test.attempt(), {ERROR})",),
    "fail_for_good": (f"select esteira.fail(test.job(), test.attempt(), {ERROR}, retryable => false)",),
    "snooze": ("select esteira.snooze(test.job(), test.attempt(), '0')",),
    "release": ("select esteira.release(array[test.job()], array[test.attempt()])",),
    "acknowledge_cancel": ("select esteira.acknowledge_cancel(test.job(), test.attempt())",),
    "save_step": (SAVE_STEP,),
    "progress": (PROGRESS,),
    "handler": (HOLD, COMPLETE),
    "handler_with_step": (HOLD, SAVE_STEP, COMPLETE),
    "step_transaction": (HOLD, SAVE_STEP),
    "retire": ("select esteira.retire(test.worker())",),
    "crash": ("select esteira.crash(test.worker(), 0, 'it crashed')",),
    "heartbeat": ("select cancel_ids from esteira.heartbeat(test.worker())",),
    # Of one that does not any more.
    "late_complete": (f"select esteira.complete(array[test.job()], array[{EARLIER}], array['3']::jsonb[])",),
    "late_step": (f"select esteira.save_step(test.job(), {EARLIER}, 'late', '3', esteira.now())",),
    # Of others.
    "rescue": (RESCUE,),
    "take_over": (RESCUE, CLAIM, LOOK),
    "tick": ("select esteira.tick(0)",),
    "expire": ("select esteira.expire()",),
    "retain": (LATER, "select esteira.retain()"),
    # Of people.
    "cancel": ("select esteira.cancel(test.job())",),
    "retry": ("select esteira.retry(test.job())",),
    "discard": ("select esteira.discard(test.job())",),
    "purge": ("select esteira.purge('q')",),
    "pause": ("select esteira.pause('q') is not null",),
    "edit": ("select esteira.edit(test.job(), tags => '{edited}')",),
    "move": ("select esteira.edit(test.job(), priority => 'high', queue => 'p')",),
    "edit_payload": ("""select esteira.edit(test.job(), payload => '{"a": 2}')""",),
    "enqueue": ("select test.enqueue(key => 'k')",),
    "replace": ("""select test.enqueue(key => 'k', on_conflict => 'replace', payload => '{"new": 1}')""",),
    "reject": ("select test.enqueue(key => 'k', on_conflict => 'reject')",),
    "enqueue_again": ("select test.enqueue(key => 'k', idempotency_key => 'i')",),
    "enqueue_idempotent": ("select test.enqueue(idempotency_key => 'i')",),
    "enqueue_made_key": ("""select test.enqueue('unique', payload => '{"a": 2}')""",),
}
# All of the jobs at once, in this order or that.
BACKWARDS = "array(select unnest(test.jobs()) as id order by id desc)"
TWO = "array['t', 't'], queues => array['q', 'q']"
KEYS = (
    "unique_keys => array['l', 'k'], on_conflicts => array['replace', 'replace'], idempotency_keys => array['i', 'h']"
)
BATCHES: Mapping[str, tuple[str, ...]] = {
    "complete": (f"select * from esteira.complete({BACKWARDS}, test.attempts(), test.results()) as id order by id",),
    "release": ("select esteira.release(test.jobs(), test.attempts())",),
    "cancel": (f"select * from esteira.cancel_many({BACKWARDS}) order by id",),
    "retry": (f"select id from esteira.retry_many({BACKWARDS}) order by id",),
    "discard": ("select * from esteira.discard_many(test.jobs()) as id order by id",),
    "claim": ("select id, attempt from test.claim() order by id",),
    "enqueue": (f"select outcome from esteira.enqueue_many({TWO}, unique_keys => array['k', 'l'])",),
    "replace": (f"select outcome from esteira.enqueue_many({TWO}, {KEYS})",),
    **{verb: VERBS[verb] for verb in ("purge", "crash", "rescue", "tick", "retain")},
}
# These take what nobody has locked, and say so. (A tick leaves all of it to another one.)
LAZY = {"claim": "[]", "purge": "[['0']]", "expire": "[['0']]", "retain": "[['True'], ['0']]"}

# These lock and write as others of the same state do.
MORE = " snooze retire step_transaction" if THOROUGH else ""
ENDS_IT = "complete fail fail_for_good release handler rescue crash take_over"
ALIVE = f"{ENDS_IT} acknowledge_cancel save_step progress heartbeat tick cancel edit retry discard{MORE}"
KEYED = "enqueue replace reject enqueue_again"
STATES: Mapping[str, str] = {
    "queued": "claim cancel purge pause edit move edit_payload",
    "keyed": f"claim cancel purge edit move {KEYED} enqueue_idempotent",
    "made_key": "claim cancel edit_payload enqueue_made_key",
    "expired": f"expire cancel purge claim {KEYED}",
    "running": ALIVE,
    "keyed_running": f"retry discard complete fail_for_good release rescue cancel {KEYED}",
    "progressed": "complete fail fail_for_good progress save_step cancel rescue take_over snooze handler_with_step",
    "cancel_asked": f"{ENDS_IT} acknowledge_cancel cancel heartbeat tick save_step progress{MORE}",
    "last_attempt": "complete fail rescue release cancel progress take_over",
    "crashed_twice": "complete fail rescue crash take_over cancel tick late_complete late_step",
    "second_attempt": "complete fail release late_complete late_step take_over save_step cancel",
    "dead": "retry discard edit retain cancel",
    "cancelled": "retry edit retain cancel discard",
    "keyed_dead": f"retry discard retain {KEYED}",
    "keyed_cancelled": f"retry retain {KEYED}",
    "completed": "retain edit cancel retry",
}


def programs(
    *verbs: str, ends: tuple[str, ...] = (), of: Mapping[str, tuple[str, ...]] = VERBS
) -> dict[str, list[str | tuple[str, ...]]]:
    """Make a program of each verb; `ends` says how each ends, if not with a commit."""
    named = [verb + " too" * verbs[:place].count(verb) for place, verb in enumerate(verbs)]
    ends = ends or ("commit",) * len(verbs)
    return {name: transaction(*of[verb], end=end) for name, verb, end in zip(named, verbs, ends, strict=True)}


def lazy(*verbs: str) -> dict[str, str]:
    """Tell what the lazy ones among these programs answer when they find nothing."""
    idle = {**LAZY, "tick": "[['None']]"} if verbs.count("tick") > 1 else LAZY
    return {name: idle[name.split()[0]] for name in programs(*verbs) if name.split()[0] in idle}
