"""The whole check: a history in order passes, the first violation is told with its whole story."""

from __future__ import annotations

import re

from esteira.history import Ledger
from esteira.history.invariants import INVARIANTS
from tests.sql.conftest import Queue
from tests.unit.history.conftest import Check


async def test_a_history_in_order_passes(queue: Queue, report: Check, ledger: Ledger) -> None:
    await queue.register()
    await queue.rows("heartbeat", queue.worker)
    with ledger.request() as request:
        jobs = await queue.enqueue_many(4)
        request.acknowledged(jobs[0])
    for job in jobs[1:]:
        ledger.note("acknowledged", request=str(job), job_id=str(job))
    done, failing, cancelled, late = jobs
    await queue.claim()
    await queue.call("save_step", done, 1, "one", "1", await queue.call("now"), None)
    await queue.complete(done)
    await queue.fail(failing)
    await queue.call("cancel", cancelled)
    await queue.call("acknowledge_cancel", cancelled, 1)
    await queue.call("retry", cancelled)
    await queue.call("release", [late], [1])
    await queue.call("cancel", late)
    found = await report(ledger=ledger.path)
    assert found.violation is None, str(found)
    assert list(found.not_checked) == ["Effects"]
    # One of them merges the step that is noted beside the job into the row of the job that has ended.
    assert (found.jobs, found.transitions) == (4, 16)
    assert "Conservation: holds" in str(found)


async def test_the_earliest_violation_comes_first_with_its_jobs_whole_story(
    queue: Queue, report: Check, ledger: Ledger
) -> None:
    job = await queue.running()
    ledger.note("began", job_id=str(job), attempt=1)
    await queue.call("save_step", job, 1, "charge", "1", await queue.call("now"), None)
    await queue.fail(job, retryable=False)
    await queue.connection.execute("update esteira.job set status = 'completed'")
    await queue.enqueue()
    await queue.connection.execute("delete from esteira.job_live")
    first, second = (await report(ledger=ledger.path, whole_ledger=False)).violations
    assert (first.invariant, first.job_id, first.times) == ("One end", job, 1)
    # The job that was removed, and the count.
    assert (second.invariant, second.times) == ("Conservation", 2)
    assert second.sentence == "it was removed while it was queued"
    told = [re.sub(r"^\S+  (#\d+ )?|, ready at \S+|pid=\d+|[0-9a-f-]{36}/", "", line) for line in first.story]
    assert told == [
        "task t",
        "enqueued, queued: attempt 0 (by test)",
        "queued → running: attempt 1, worker 0 (by test)",
        "ledger: began 1 ",
        'step "charge" of attempt 1 (by test)',
        "attempt 1 failed (by test)",
        "running, changed: attempt 1, failures 1, worker 0 (by test)",
        "running → dead: attempt 1, failures 1, not_retryable (by test)",
        "dead → completed: attempt 1, failures 1, not_retryable (by test)",
        "now completed: attempt 1, failures 1, crashes 0, generation 1",
    ]


def test_every_invariant_has_a_name_and_a_rule_of_one_sentence() -> None:
    assert len({invariant.name for invariant in INVARIANTS}) == len(INVARIANTS) == 13
    for invariant in INVARIANTS:
        assert invariant.rule().endswith("."), invariant.name
