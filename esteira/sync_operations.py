# Written by scripts/generate_sync.py from esteira/operations.py. Do not edit: change that and run `make generate`.
"""What operators ask and do: many jobs at once, queues, tasks, workers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from esteira import queries
from esteira.acted import Acted
from esteira.database import SyncDatabase
from esteira.durations import Duration, to_timedelta
from esteira.encoding import decode
from esteira.errors import UnknownTask
from esteira.job_filter import JobFilter
from esteira.notifier import SyncNotifier
from esteira.overview import DeclaredTask, Ended, Queue, Totals, Worker

# Reads may happen twice, so a short absence of the database (a restart, a failover) is waited out.
PATIENCE_SECONDS = 5.0
# As many jobs a bulk act takes at most, if nothing else is said.
MANY = 10_000
LIVE = ("queued", "running", "waiting")


class SyncOperations:
    """The part of a client that operators use."""

    def __init__(self, database: SyncDatabase) -> None:
        self.database = database
        self._notifier = SyncNotifier(database)

    def cancel_many(self, wanted: JobFilter, *, limit: int = MANY, dry_run: bool = False) -> Acted:
        """Cancel those that have not started and ask the running ones to stop, the oldest first."""
        ids, acted = self._chosen(wanted.within(LIVE), limit)
        if dry_run or not ids:
            return acted
        rows = self.database.fetch("select status from esteira.cancel_many($1)", ids)
        asked = sum(row["status"] == "running" for row in rows)
        return replace(acted, changed=len(rows) - asked, asked=asked)

    def retry_many(self, wanted: JobFilter, *, limit: int = MANY, dry_run: bool = False) -> Acted:
        """Give dead and cancelled jobs another life, the oldest first."""
        ids, acted = self._chosen(wanted.within(("dead", "cancelled")), limit)
        if dry_run or not ids:
            return acted
        rows = self.database.fetch("select queue from esteira.retry_many($1)", ids)
        self._notifier.notify({row["queue"] for row in rows})
        return replace(acted, changed=len(rows))

    def discard_many(self, wanted: JobFilter, *, limit: int = MANY, dry_run: bool = False) -> Acted:
        """Remove dead jobs for good, the oldest first."""
        ids, acted = self._chosen(wanted.within(("dead",)), limit)
        if dry_run or not ids:
            return acted
        return replace(acted, changed=len(self.database.fetch("select esteira.discard_many($1)", ids)))

    def _chosen(self, wanted: JobFilter, limit: int) -> tuple[list[UUID], Acted]:
        from esteira import lists

        rows = self.database.fetch(lists.oldest_ids(wanted, limit + 1), patience=PATIENCE_SECONDS)
        ids = [row["id"] for row in rows[:limit]]
        return ids, Acted(matched=len(ids), more=len(rows) > limit)

    def queues(self) -> list[Queue]:
        """Return the queues by name."""
        return [Queue(**row) for row in self.database.fetch(queries.QUEUES, patience=PATIENCE_SECONDS)]

    def queue(self, name: str) -> Queue | None:
        """Return a queue; None where nothing is known of it."""
        row = self.database.fetchrow(queries.QUEUE, name, patience=PATIENCE_SECONDS)
        return None if row is None else Queue(**row)

    def pause(self, queue: str) -> datetime:
        """Let nothing of this queue be claimed from now on; returns since when it is so."""
        return cast(datetime, self.database.fetchval("select esteira.pause($1)", queue))

    def resume(self, queue: str) -> bool:
        """End the pause of a queue; False if it was not paused."""
        return cast(bool, self.database.fetchval("select esteira.resume($1)", queue))

    def keep(self, queue: str, *, finished: Duration | None, dead: Duration | None) -> None:
        """Say how long completed and cancelled jobs of a queue are kept, and dead ones; None: as all others."""
        kept = [None if duration is None else to_timedelta(duration) for duration in (finished, dead)]
        self.database.fetch("select esteira.set_retention($1, $2, $3)", queue, *kept)

    def purge(self, queue: str) -> int:
        """Cancel all jobs of a queue that do not run; returns how many."""
        purged = batch = self.database.fetchval("select esteira.purge($1)", queue)
        while batch:
            batch = self.database.fetchval("select esteira.purge($1)", queue)
            purged += batch
        return int(purged)

    def tasks(self) -> list[DeclaredTask]:
        """Return the tasks that a worker ever declared, by name."""
        rows = self.database.fetch(queries.TASKS, patience=PATIENCE_SECONDS)
        return [_declared_task(row) for row in rows]

    def task(self, name: str) -> DeclaredTask:
        """Return a declared task. Raises UnknownTask."""
        row = self.database.fetchrow(queries.TASK, name, patience=PATIENCE_SECONDS)
        if row is None:
            raise UnknownTask(f'no worker has declared the task "{name}"')
        return _declared_task(row)

    def pause_task(self, name: str) -> datetime:
        """Let no job of this task be claimed from now on; returns since when it is so. Raises UnknownTask."""
        return cast(datetime, self.database.fetchval("select esteira.pause_task($1)", name))

    def resume_task(self, name: str) -> bool:
        """End the pause of a task; False if it was not paused. Raises UnknownTask."""
        return cast(bool, self.database.fetchval("select esteira.resume_task($1)", name))

    def workers(self) -> list[Worker]:
        """Return the workers of the last day, the youngest first."""
        return [Worker(**row) for row in self.database.fetch(queries.WORKERS, patience=PATIENCE_SECONDS)]

    def drain(self, worker_id: UUID) -> datetime:
        """Ask a worker to finish what it runs and to leave; returns since when it is asked. Raises UnknownWorker."""
        return cast(datetime, self.database.fetchval("select esteira.drain($1)", worker_id))

    def totals(self) -> Totals:
        """Return how many jobs there are in each state, over all queues, and what works on them."""
        row = self.database.fetchrow(queries.TOTALS, patience=PATIENCE_SECONDS)
        assert row is not None
        return Totals(**row)

    def ended_lately(self) -> list[Ended]:
        """Return how many jobs ended in the last five minutes and in the last hour."""
        return [Ended(**row) for row in self.database.fetch(queries.ENDED_LATELY, patience=PATIENCE_SECONDS)]

    def unserved_queues(self) -> list[str]:
        """Return the queues that hold queued jobs, ready or scheduled, and that no living worker serves."""
        rows = self.database.fetch(queries.UNSERVED_QUEUES, patience=PATIENCE_SECONDS)
        return [row["name"] for row in rows]

    def troubled_workers(self) -> list[str]:
        """Return what keeps slots of living workers from taking jobs though nothing runs in them: a sentence each."""
        rows = self.database.fetch(queries.TROUBLED_WORKERS, patience=PATIENCE_SECONDS)
        return [f"{row['hostname']} (process {row['pid']}): {row['trouble']}" for row in rows]

    def paused_queues(self) -> list[str]:
        """Return the queues that hold ready jobs, and that somebody paused."""
        rows = self.database.fetch(queries.PAUSED_QUEUES, patience=PATIENCE_SECONDS)
        return [row["name"] for row in rows]

    def unclaimed_tasks(self) -> dict[str, bool]:
        """Return the tasks whose ready jobs nobody claims, though workers serve their queue: whether each is paused."""
        rows = self.database.fetch(queries.UNCLAIMED_TASKS, patience=PATIENCE_SECONDS)
        return {row["task"]: row["is_paused"] for row in rows}


def _declared_task(row: Any) -> DeclaredTask:
    return DeclaredTask(**{**row, "payload_schema": decode(row["payload_schema"])})
