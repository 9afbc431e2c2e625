"""graphile-worker, on Node. It deletes finished jobs and stores no results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench import peers
from bench.system import Command, Counts

if TYPE_CHECKING:
    from bench.servers import Place

_SETTLED = """
select not exists (
    select from graphile_worker._private_jobs where run_at <= clock_timestamp() and is_available)
   and not exists (select from graphile_worker._private_jobs where locked_at is not null)
"""


class GraphileWorker:
    """Benjie's queue, tuned as the page "Performance" of its documentation says, to the number."""

    name = "graphile-worker"
    pace = 45_000
    handles = True
    on_postgres = True
    settings = "concurrentJobs 24, localQueue size 500, completeJobBatchDelay 0; finished jobs are deleted"
    cannot: Mapping[str, str] = {"finished": "it deletes jobs that have finished"}

    def version(self) -> str:
        """Return the installed version."""
        return peers.node_peer("graphile-worker")

    def client(self, place: Place) -> Command:
        """Run the client."""
        return peers.node_program("graphile_worker.mjs", "client")

    def workers(self, place: Place, processes: int, slots: int | None) -> list[Command]:
        """Run so many workers."""
        return [peers.node_program("graphile_worker.mjs", "worker", slots)] * processes

    async def settled(self, place: Place) -> bool:
        """Neither locked nor due."""
        return bool(await place.value(_SETTLED))

    async def counts(self, place: Place) -> Counts:
        """Count the jobs; none is kept."""
        return Counts(await place.value("select count(*) from graphile_worker._private_jobs"), None)

    async def finish(self, place: Place, rows: int) -> bool:
        """Keep nothing."""
        return False


SYSTEM = GraphileWorker()
