"""pg-boss, on Node. It keeps finished jobs in the table of all jobs, without results where batches are handled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench import peers
from bench.system import Command, Counts

if TYPE_CHECKING:
    from bench.servers import Place

_SETTLED = """
select not exists (select from pgboss.job where name = 'bench' and state = 'active')
   and not exists (
    select from pgboss.job
    where name = 'bench' and state < 'active' and not blocked and start_after <= clock_timestamp())
"""
_FINISH = """
insert into pgboss.job (name, data, state, created_on, start_after, started_on, completed_on, policy, deletion_seconds)
select 'bench', jsonb_build_object('n', n, 'pad', repeat('x', 75)), 'completed', at, at, at, at, 'standard', 864000
from generate_series(1, $1::bigint) as n
cross join lateral (select clock_timestamp() - interval '7 days' + n * interval '7 days' / $1) as ended (at)
"""


class PgBoss:
    """Tim's queue. `burstWhenBatchFull` lets it fetch on, without a pause, while batches come back full."""

    name = "pg-boss"
    pace = 40_000
    handles = True
    on_postgres = True
    settings = "batchSize 1,000, localConcurrency 2, notify, burstWhenBatchFull; a handler takes a batch"
    cannot: Mapping[str, str] = {}

    def version(self) -> str:
        """Return the installed version."""
        return peers.node_peer("pg-boss")

    def client(self, place: Place) -> Command:
        """Run the client."""
        return peers.node_program("pg_boss.mjs", "client")

    def workers(self, place: Place, processes: int, slots: int | None) -> list[Command]:
        """Run so many workers; slots are split over the batches of its two loops."""
        return [peers.node_program("pg_boss.mjs", "worker", slots)] * processes

    async def settled(self, place: Place) -> bool:
        """Neither active nor due."""
        return bool(await place.value(_SETTLED))

    async def counts(self, place: Place) -> Counts:
        """Count by state; a job that was retried does not count as done."""
        left = "select count(*) from pgboss.job where name = 'bench' and state < 'completed'"
        done = "select count(*) from pgboss.job where name = 'bench' and state = 'completed' and retry_count = 0"
        return Counts(await place.value(left), await place.value(done))

    async def finish(self, place: Place, rows: int) -> bool:
        """Write completed jobs of the last week."""
        await place.value(_FINISH, rows)
        return True


SYSTEM = PgBoss()
