"""Checks of the jobs: those that nobody runs, that are stuck, dead or late."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from esteira import queries as reads
from esteira.doctor import queries
from esteira.doctor.finding import Finding, count, duration, named, psql

if TYPE_CHECKING:
    from esteira.doctor.site import Site

MANY_DEAD = 1000
# stuck_jobs explains each of its jobs, so no more are looked at.
MOST_STUCK = 1000


async def unserved(site: Site) -> list[Finding]:
    """Whether every queue with jobs has a worker that serves it."""
    queues = [row["name"] for row in await site.rows(reads.UNSERVED_QUEUES)]
    if not queues:
        return [Finding(check="queues", level="ok", detail="every queue with jobs has a worker")]
    detail = f"no living worker serves {count(len(queues), 'queue')} with jobs: {named(queues)}"
    action = f"esteira worker --tasks MODULE --queues {','.join(map(shlex.quote, queues))}"
    return [Finding(check="queues", level="warning", detail=detail, action=action)]


async def unknown_tasks(site: Site) -> list[Finding]:
    """Whether a living worker knows the task of every ready job."""
    return [_unknown(row) for row in await site.rows(queries.TASKS)] or [
        Finding(check="tasks", level="ok", detail="every ready job's task is known to a worker")
    ]


def _unknown(row: Any) -> Finding:
    why = "no living worker knows it" if row["is_declared"] else "no worker has ever declared it"
    detail = f"the task {row['task']} has {count(row['jobs'], 'ready job')}, and {why}"
    misspelt = "" if row["is_declared"] else f", or if it is misspelt: esteira cancel --task {shlex.quote(row['task'])}"
    action = f"esteira worker --tasks MODULE, with the module that declares it{misspelt}"
    return Finding(check="tasks", level="warning", detail=detail, action=action)


async def paused(site: Site) -> list[Finding]:
    """Which queues and tasks are paused."""
    return [_paused(row) for row in await site.rows(queries.PAUSED)] or [
        Finding(check="pauses", level="ok", detail="no queue and no task is paused")
    ]


def _paused(row: Any) -> Finding:
    option = "--task " if row["kind"] == "task" else ""
    return Finding(
        check="pauses",
        level="warning" if row["jobs"] else "note",
        detail=f"the {row['kind']} {row['name']} has been paused for {duration(row['seconds'])},"
        f" and {count(row['jobs'], 'job')} wait",
        action=f"esteira resume {option}{shlex.quote(row['name'])}",
    )


async def stuck(site: Site) -> list[Finding]:
    """Which jobs run too long, or are not claimed, and why."""
    rows = await site.rows(queries.STUCK)
    least = "at least " if sum(row["jobs"] for row in rows) >= MOST_STUCK else ""
    return [
        Finding(
            check="stuck",
            level="warning",
            detail=f"{least}{count(row['jobs'], 'job')} stuck ({row['reason']}), one of them: {row['detail']}",
            action="esteira jobs --stuck",
        )
        for row in rows
    ] or [Finding(check="stuck", level="ok", detail="no job is stuck")]


async def dead_letter(site: Site) -> list[Finding]:
    """How many jobs are dead."""
    dead = await site.row(queries.DEAD)
    if not dead["jobs"]:
        return [Finding(check="dead letter", level="ok", detail="no job is dead")]
    those = f"--task {shlex.quote(dead['most'])}"
    return [
        Finding(
            check="dead letter",
            level="warning" if dead["jobs"] >= MANY_DEAD else "note",
            detail=f"{count(dead['jobs'], 'job')} dead, {dead['latest']:,} within the hour; most of {dead['most']}",
            action=f"esteira jobs --status dead {those}; then esteira retry, or discard, --status dead {those}",
        )
    ]


async def late(site: Site) -> list[Finding]:
    """Whether jobs that have expired are cancelled in time, which the workers do."""
    row = await site.row(queries.LATE)
    if not row["jobs"]:
        return [Finding(check="expiry", level="ok", detail="no job waits past its expiry")]
    detail = f"{count(row['jobs'], 'job')} past their expiry, by {duration(row['seconds'])}: no worker cancels them"
    action = f"esteira worker --tasks MODULE, or {psql('select esteira.expire()')}"
    return [Finding(check="expiry", level="warning", detail=detail, action=action)]
