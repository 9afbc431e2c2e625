"""How long jobs stay with somebody who is gone."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from uuid import UUID

from esteira.database import Database

_RUNNING = "select id, attempt from esteira.job_live where worker_id = $1 and status = 'running'"
_HELD = """
select count(*) from esteira.job_live
join unnest($2::uuid[], $3::integer[]) as held (id, attempt) using (id, attempt)
where worker_id = $1 and status = 'running'
"""
_STANDING = (
    "select * from esteira.worker_status",
    """
    select pid, application_name, state, wait_event, pg_blocking_pids(pid) as blocked_by,
           clock_timestamp() - xact_start as open_for, clock_timestamp() - query_start as asked_for,
           left(query, 80) as query
    from pg_stat_activity where xact_start is not null
    """,
)
_LOOK_SECONDS = 0.01
_AT_MOST_SECONDS = 60.0


class Recovery:
    """Measure from a fault to the moment at which the jobs that ran there can be claimed, by the fault's name."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    async def after(self, what: str, worker_id: UUID, fault: Callable[[], Awaitable[None]]) -> None:
        """Do this to a worker, and wait until its jobs are no longer its own; without jobs nothing is measured."""
        rows = await self._database.fetch(_RUNNING, worker_id, patience=_AT_MOST_SECONDS)
        held = worker_id, [row["id"] for row in rows], [row["attempt"] for row in rows]
        now = asyncio.get_running_loop().time
        await fault()
        began = now()
        if rows:
            while await self._database.fetchval(_HELD, *held):
                if now() - began > _AT_MOST_SECONDS:
                    raise AssertionError(f"{what}: worker {worker_id} still has jobs\n{await self._standing()}")
                await asyncio.sleep(_LOOK_SECONDS)
            self.seconds[what].append(round(now() - began, 3))

    async def _standing(self) -> str:
        """Return what the workers are and who holds what, one line each."""
        return "\n".join(str(dict(row)) for query in _STANDING for row in await self._database.fetch(query))
