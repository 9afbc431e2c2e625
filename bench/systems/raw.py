"""The same enqueues, claims and settles in SQL alone, on one connection: what the database can do without a driver."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING
from uuid import uuid4

from bench.ledger import saw
from bench.program import run, until_terminated
from bench.system import Command, System, database_url, own_python
from bench.systems.esteira import SYSTEM as ESTEIRA

if TYPE_CHECKING:
    from bench.servers import Place

BATCH = 1000
_NO_HANDLER = "it has no handlers: nothing runs outside the database"

# The batches of an engine, one after the other. The floor follows as an engine's does.
_DRAIN = """
do $$
declare
    floor_time timestamptz := '-infinity';
    floor_id uuid := '00000000-0000-0000-0000-000000000000';
    jobs uuid[];
    attempts integer[];
begin
    loop
        select array_agg(id order by ready_at, id), array_agg(attempt order by ready_at, id), max(ready_at)
        into jobs, attempts, floor_time
        from esteira.claim(
            '{worker}', 1, {batch}, '{{bench.job}}', '{{default,default,default,default}}', '{{3,2,1,0}}',
            array_fill(floor_time, array[4]), array_fill(floor_id, array[4]))
        where id is not null;
        exit when jobs is null;
        floor_id := jobs[cardinality(jobs)];
        perform esteira.complete(jobs, attempts, array_fill('null'::jsonb, array[cardinality(jobs)]));
        commit;
    end loop;
end
$$
"""
_SEEN = """
select (payload->>'n')::float8 as number, extract(epoch from clock_timestamp() - started_at)::float8 as seconds_ago
from esteira.job_finished
where worker_id = $1
"""


class Raw:
    """Esteira's schema without Esteira."""

    name = "raw SQL"
    pace = 60_000
    handles = False
    on_postgres = True
    settings = f"one connection, batches of {BATCH:,}, no driver, no handlers"
    cannot: Mapping[str, str] = {
        "single": "enqueueing is one call of the same function",
        "enqueue": "enqueueing is one call of the same function",
        "pickup": _NO_HANDLER,
        "steady": _NO_HANDLER,
        "handlers": _NO_HANDLER,
        "memory": _NO_HANDLER,
    }

    settled = staticmethod(ESTEIRA.settled)
    counts = staticmethod(ESTEIRA.counts)
    finish = staticmethod(ESTEIRA.finish)

    def version(self) -> str:
        """Return the version of this tree."""
        return version("esteira")

    def client(self, place: Place) -> Command:
        """Enqueue as Esteira does."""
        return ESTEIRA.client(place)

    def workers(self, place: Place, processes: int, slots: int | None) -> list[Command]:
        """So many connections, each with a program that waits for it."""
        return [own_python("bench.systems.raw", "worker")] * processes


async def _client() -> None:
    raise SystemExit("Esteira's client enqueues for it: python -m bench.systems.esteira client")


async def _work(_slots: int | None) -> None:
    import asyncpg

    stopped = until_terminated()
    connection = await asyncpg.connect(database_url())
    worker = uuid4()
    await connection.execute(_DRAIN.format(worker=worker, batch=BATCH))
    # Only now, so that it costs the measured part nothing.
    seen, now = await connection.fetch(_SEEN, worker), time.monotonic()
    for number, seconds_ago in seen:
        saw(number, now - seconds_ago)
    await stopped.wait()


SYSTEM: System = Raw()

if __name__ == "__main__":
    run(_client, _work)
