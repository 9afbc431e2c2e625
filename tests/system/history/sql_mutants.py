"""Defects that the queue's SQL could have: where each stands, who comes across it, and what the checker must say.

A defect is a piece of a function's text that is replaced, in a scratch database; it must stand there exactly once, so
that no mutant turns into the original unnoticed. Its scene is played on the queue as it is, too: there all holds.

Not here, since the checker rightly says nothing: `hold` without its check or its lock. The settle at the end of the
transaction checks and locks again; `hold` only lets a handler know early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from esteira.database import Connection
from tests.system.history import scenes
from tests.system.history.scenes import Scene

# What is replaced in a function by what.
Changes = Mapping[str, str]
DEFINITION = "select pg_get_functiondef(to_regproc('esteira.' || $1))"

ANY_ATTEMPT = {" and job.attempt = settled.attempt and job.status": " and job.status"}
ANY_ROW = {" and job.attempt = settled.attempt and job.status = 'running'": ""}
NO_CANCEL = {"where job_id = any (requeue.ids) and cancel_requested_at is not null": "where false"}
READY_AT = "ready_at = greatest(coalesce(requeue.run_at, job.run_at), moment)"
BY_SECONDS = {"worker.missed_ticks >= lease": "worker.beat_at < esteira.now() - make_interval(secs => lease)"}
BY_ID = {
    "select candidate.ctid\n": "select candidate.id\n",
    "select job.ctid\n": "select job.id\n",
    "for update of job skip locked\n": "\n",
    "job.ctid = any (array(select ready.ctid from ready))": "job.id = any (array(select ready.id from ready))",
}
KEEP_KEY = """    on conflict (key) do update
    set fingerprint = excluded.fingerprint, job_id = excluded.job_id, created_at = excluded.created_at
    where kept.created_at <= excluded.created_at - interval '24 h'"""
GONE = """delete from esteira.job_live as job
        using settled
"""
STAYS = """update esteira.job_live as job
        set progress = progress
        from settled
"""


@dataclass(frozen=True)
class Mutant:
    """A defect. sentence: a pattern of what is said of the invariant that it breaks; before: SQL to run first."""

    name: str
    invariant: str
    sentence: str
    scene: Scene
    changes: Mapping[str, Changes]
    before: str = ""


MUTANTS = (
    Mutant(
        "complete takes any attempt",
        "Fence",
        r"the completion of attempt 2 was stored by esteira/(.+)/0, and the attempt ran in esteira/(?!\1).+/0",
        scenes.a_zombie_completes_what_another_runs,
        {"complete": ANY_ATTEMPT},
    ),
    Mutant(
        "complete settles by id alone",
        "Fence",
        r"the completion of attempt 2 was stored by esteira/.+/0, and the attempt ran in esteira/.+/0",
        scenes.a_zombie_completes_what_another_runs,
        {"complete": ANY_ROW},
    ),
    Mutant(
        "complete settles what nobody runs",
        "Fence",
        r"attempt 1 stored its completion when the job was queued",
        scenes.a_zombie_completes_what_waits,
        {"complete": ANY_ROW},
    ),
    Mutant(
        "fail takes any attempt",
        "Fence",
        r"its end \(failed\) was stored by esteira/.+/0, and the attempt ran in esteira/.+/0",
        scenes.a_zombie_fails_what_another_runs,
        {"fail": {"job.id = fail.id and job.attempt = fail.attempt and": "job.id = fail.id and"}},
    ),
    Mutant(
        "save_step takes any attempt",
        "Fence",
        r'attempt 1 stored the step "charge" when attempt 2 ran',
        scenes.a_zombie_stores_a_step,
        {"save_step": {"and job.attempt = save_step.attempt and": "and"}},
    ),
    Mutant(
        "save_step looks without a lock",
        "Fence",
        r'the step "charge" of attempt 1 was committed after the attempt was over',
        scenes.a_step_is_committed_late,
        {"save_step": {"        for update\n": ""}},
    ),
    Mutant(
        "completing transactions have no fence",
        "Effects",
        r"the effect of attempt 1 is there, and attempt 2 completed",
        scenes.a_zombie_commits_an_effect,
        {"complete": ANY_ATTEMPT, "hold": {"and job.attempt = hold.attempt and": "and"}},
    ),
    Mutant(
        "claim locks nothing and looks for ids",
        "One owner",
        r"attempt 2 was claimed while attempt 1 still ran",
        scenes.two_engines_claim_at_once,
        {"claim": BY_ID},
    ),
    Mutant(
        "claim does not raise the attempt",
        "One owner",
        r"attempt 1 was claimed after attempt 1",
        scenes.a_job_is_released_and_claimed,
        {"claim": {"attempt = job.attempt + 1": "attempt = greatest(job.attempt, 1)"}},
    ),
    Mutant(
        "fail writes no attempt",
        "Justified restart",
        r"attempt 2 was claimed, and nothing says how attempt 1 ended",
        scenes.a_job_fails_and_is_claimed,
        {"fail": {"perform esteira.record_attempt(array[id], outcome, told, traceback, moment);": ""}},
    ),
    Mutant(
        "a rescue counts seconds",
        "No false loss",
        r"worker .+ was given up after 0 silent ticks; its lease is 6",
        scenes.the_clock_jumps,
        {"tick": BY_SECONDS},
    ),
    Mutant(
        "each call of tick counts",
        "No false loss",
        r"worker .+ was given up after 1 silent ticks; its lease is 6",
        scenes.many_workers_tick_at_once,
        {"tick": {"abs(extract(epoch from moment - worker.ticked_at)) >= 0.9": "true"}},
    ),
    Mutant(
        "requeue does not look for a cancel",
        "Cancel",
        r"attempt 2 was claimed after somebody asked it to stop in attempt 1",
        scenes.a_cancelled_job_is_released,
        {"requeue": NO_CANCEL},
    ),
    Mutant(
        "a cancel is lost beside progress",
        "Cancel",
        r"somebody was told that it was asked to stop, and it never was",
        scenes.a_job_with_progress_is_cancelled,
        {
            "cancel_many": {
                "coalesce(activity.cancel_requested_at, excluded.cancel_requested_at)": "activity.cancel_requested_at"
            }
        },
    ),
    Mutant(
        "retry begins no generation",
        "One end",
        r"it was dead and became queued",
        scenes.a_dead_job_is_retried,
        {"retry_many": {"attempt, generation + 1, max_attempts": "attempt, generation, max_attempts"}},
    ),
    Mutant(
        "retry takes completed jobs",
        "One end",
        r"it was completed and became queued",
        scenes.a_completed_job_is_retried,
        {
            "retry_many": {
                "job.status in ('dead', 'cancelled')": "job.status <> 'running'",
                "job.status = 'cancelled' and job.id": "job.id",
            }
        },
    ),
    Mutant(
        "claim takes what has expired",
        "Time",
        r"it was claimed 0\.\d\d\d s after it had expired",
        scenes.an_expired_job_is_looked_for,
        {"claim": {"and (job.expires_at is null or job.expires_at > moment or job.attempt > 0)": ""}},
    ),
    Mutant(
        "claim takes what is not due",
        "Time",
        r"attempt 1 was claimed 3\d\d\d\.\d\d\d s before it was due",
        scenes.a_job_is_not_due,
        {"claim": {"and job.ready_at <= moment": ""}},
    ),
    Mutant(
        "requeue forgets ready_at",
        "Time",
        r"attempt 2 was claimed 3\d\d\d\.\d\d\d s before it was due",
        scenes.a_job_is_snoozed,
        {"requeue": {READY_AT: "ready_at = job.ready_at"}},
    ),
    Mutant(
        "idempotency keys are not unique",
        "Idempotency",
        r'the idempotency key "k" has this job and .+',
        scenes.a_request_is_sent_twice,
        {"remember_key": {KEEP_KEY: ""}},
        before="alter table esteira.idempotency_key drop constraint idempotency_key_pkey",
    ),
    Mutant(
        "idempotency keys forget what was asked",
        "Idempotency",
        r'two requests that ask for different things with the key "k" were answered with it',
        scenes.a_key_is_used_for_something_else,
        {"remember_key": {"case when kept.fingerprint = remember_key.fingerprint then": "case when true then"}},
    ),
    Mutant(
        "keys are forgotten after an hour",
        "Idempotency",
        r'its idempotency key "k" was removed after 7\d\d\d s',
        scenes.retention_passes_two_hours_later,
        {"retain": {"moment - interval '24 h'": "moment - interval '1 h'"}},
    ),
    Mutant(
        "a rescue takes no job back",
        "No loss",
        r"all is said to be drained, and it is running",
        scenes.a_worker_is_lost,
        {"rescue": {"perform esteira.lose(lost, 'lost', 'the worker stopped beating', moment);": ""}},
    ),
    Mutant(
        "retention removes what lives",
        "Conservation",
        r"it was removed while it was queued",
        scenes.retention_passes_two_hours_later,
        {
            "remove_finished": {
                "delete from esteira.job_finished as job where job.id = any (ids);": (
                    "delete from esteira.job as job where job.queue = rule.queue and job.created_at < rule.until;"
                )
            }
        },
    ),
    Mutant(
        "retention does not count",
        "Conservation",
        r"0 jobs were there, 2 were enqueued, 1 are there, so 1 are gone; but retention removed 0 and .+",
        scenes.retention_passes_two_hours_later,
        {"retain": {"finished_removed = retention.finished_removed + jobs": "finished_removed = 0"}},
    ),
    Mutant(
        "complete leaves the job where it was",
        "Conservation",
        r"there are two rows of it",
        scenes.a_job_completes,
        {"complete": {GONE: STAYS}},
    ),
    Mutant(
        "an end loses the job",
        "Conservation",
        r"it was removed while it was running",
        scenes.a_job_dies,
        {
            "finish": {
                "left join noted on noted.job_id = gone.id": "left join noted on noted.job_id = gone.id where false"
            }
        },
    ),
)


async def mutate(connection: Connection, function: str, changes: Changes) -> None:
    """Change a function's text in this database."""
    text: str = await connection.fetchval(DEFINITION, function)
    for old, new in changes.items():
        assert text.count(old) == 1, f"esteira.{function} has {text.count(old)} times: {old}"
        text = text.replace(old, new)
    await connection.execute(text)
