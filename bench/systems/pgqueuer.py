"""PgQueuer: the fastest Python peer on PostgreSQL. It deletes finished jobs and logs their ends in a table."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bench import peers
from bench.ledger import saw
from bench.program import Payload, run, serve, until_terminated
from bench.system import Command, Counts, database_url

if TYPE_CHECKING:
    from bench.servers import Place

# Jobs fetched by a statement and, since its buffer of ends is as large, settled by one. The best of a sweep.
BATCH = 500
_SETTLED = """
select not exists (select from pgqueuer where status = 'picked')
   and not exists (select from pgqueuer where status = 'queued' and execute_after <= clock_timestamp())
"""
_FINISH = """
insert into pgqueuer_log (created, job_id, status, priority, entrypoint)
select clock_timestamp() - interval '7 days' + n * interval '7 days' / $1, n - 10000000, 'successful', 0, 'bench'
from generate_series(1, $1::bigint) as n
"""


class Pgqueuer:
    """Janbjorge's queue."""

    name = "pgqueuer"
    pace = 20_000
    handles = True
    on_postgres = True
    cannot: Mapping[str, str] = {}
    settings = f"asyncpg, uvloop, batch_size {BATCH}"

    def version(self) -> str:
        """Return the installed version."""
        return peers.python_peer("pgqueuer")

    def client(self, place: Place) -> Command:
        """Run the client below."""
        return peers.python_program("bench.systems.pgqueuer", "client")

    def workers(self, place: Place, processes: int, slots: int | None) -> list[Command]:
        """Run so many of the worker below."""
        return [peers.python_program("bench.systems.pgqueuer", "worker", slots)] * processes

    async def settled(self, place: Place) -> bool:
        """Neither picked nor due."""
        return bool(await place.value(_SETTLED))

    async def counts(self, place: Place) -> Counts:
        """Count the queue, and the ends in the log."""
        return Counts(
            await place.value("select count(*) from pgqueuer"),
            await place.value("select count(*) from pgqueuer_log where status = 'successful'"),
        )

    async def finish(self, place: Place, rows: int) -> bool:
        """Write the log of jobs that ended."""
        await place.value(_FINISH, rows)
        return True


async def _client() -> None:
    import asyncpg
    import orjson
    from pgqueuer import AsyncpgDriver, Queries

    class _Client:
        async def install(self) -> None:
            await queries.install()

        async def one(self, payload: Payload, delay_seconds: float) -> None:
            await queries.enqueue("bench", orjson.dumps(payload))

        async def many(self, payloads: list[Payload], delay_seconds: float) -> None:
            count = len(payloads)
            delays = [timedelta(seconds=delay_seconds)] * count if delay_seconds else None
            await queries.enqueue(["bench"] * count, [orjson.dumps(one) for one in payloads], [0] * count, delays)

    connection = await asyncpg.connect(database_url())
    queries = Queries(AsyncpgDriver(connection))
    await serve(_Client())


async def _work(slots: int | None) -> None:
    import asyncpg
    import orjson
    from pgqueuer import AsyncpgDriver, PgQueuer

    connection = await asyncpg.connect(database_url())
    queue = PgQueuer(AsyncpgDriver(connection))

    @queue.entrypoint("bench")
    async def bench(job: Any) -> None:
        payload = orjson.loads(job.payload)
        saw(payload["n"])
        if payload["ms"]:
            await asyncio.sleep(payload["ms"] / 1000)

    # It wants to be allowed two batches at least.
    batch = BATCH if slots is None else min(BATCH, slots // 2)
    running = asyncio.create_task(queue.run(batch_size=batch, max_concurrent_tasks=slots))
    await until_terminated().wait()
    queue.shutdown.set()
    await running


SYSTEM = Pgqueuer()

if __name__ == "__main__":
    run(_client, _work)
