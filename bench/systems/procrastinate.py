"""Procrastinate. It keeps finished jobs in the table of all jobs, and an event for each change of each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench import peers
from bench.ledger import saw
from bench.program import Payload, run, serve
from bench.system import Command, Counts, database_url

if TYPE_CHECKING:
    from bench.servers import Place

# Each job is fetched and finished by statements of its own; more at once than this did not help.
CONCURRENCY = 30
# It also needs a connection to listen.
POOL = 20
_SETTLED = """
select not exists (select from procrastinate_jobs where status = 'doing')
   and not exists (
    select from procrastinate_jobs
    where status = 'todo' and (scheduled_at is null or scheduled_at <= clock_timestamp()))
"""
_FINISH = """
insert into procrastinate_jobs (queue_name, task_name, args, status, attempts)
select 'default', 'bench', jsonb_build_object('n', n, 'ms', 0, 'pad', repeat('x', 64)), 'succeeded', 1
from generate_series(1, $1::bigint) as n
"""


class Procrastinate:
    """The queue of Django's and others' users."""

    name = "procrastinate"
    pace = 1_000
    handles = True
    on_postgres = True
    cannot: Mapping[str, str] = {}
    settings = f"psycopg, uvloop, concurrency {CONCURRENCY}, a pool of {POOL}"

    def version(self) -> str:
        """Return the installed version."""
        return peers.python_peer("procrastinate")

    def client(self, place: Place) -> Command:
        """Run the client below."""
        return peers.python_program("bench.systems.procrastinate", "client")

    def workers(self, place: Place, processes: int, slots: int | None) -> list[Command]:
        """Run so many of the worker below."""
        return [peers.python_program("bench.systems.procrastinate", "worker", slots)] * processes

    async def settled(self, place: Place) -> bool:
        """Neither doing nor due."""
        return bool(await place.value(_SETTLED))

    async def counts(self, place: Place) -> Counts:
        """Count by status; a job that was tried twice does not count as done."""
        left = "select count(*) from procrastinate_jobs where status in ('todo', 'doing')"
        done = "select count(*) from procrastinate_jobs where status = 'succeeded' and attempts = 1"
        return Counts(await place.value(left), await place.value(done))

    async def finish(self, place: Place, rows: int) -> bool:
        """Write jobs that succeeded, without their events, which nothing on the way of a job reads."""
        await place.value(_FINISH, rows)
        return True


def _app() -> tuple[Any, Any]:
    from procrastinate import App, PsycopgConnector

    app = App(connector=PsycopgConnector(conninfo=database_url(), min_size=1, max_size=POOL))

    @app.task(name="bench", queue="default")
    async def bench(n: int, ms: int, pad: str) -> None:  # noqa: ARG001
        saw(n)
        if ms:
            await asyncio.sleep(ms / 1000)

    return app, bench


async def _client() -> None:
    app, bench = _app()

    class _Client:
        async def install(self) -> None:
            await app.schema_manager.apply_schema_async()

        async def one(self, payload: Payload, delay_seconds: float) -> None:
            await bench.defer_async(**payload)

        async def many(self, payloads: list[Payload], delay_seconds: float) -> None:
            later = bench.configure(schedule_in={"seconds": delay_seconds}) if delay_seconds else bench.configure()
            await later.batch_defer_async(*payloads)

    async with app.open_async():
        await serve(_Client())


async def _work(slots: int | None) -> None:
    app, _ = _app()
    async with app.open_async():
        # It stops on SIGTERM by itself.
        await app.run_worker_async(concurrency=slots or CONCURRENCY, listen_notify=True)


SYSTEM = Procrastinate()

if __name__ == "__main__":
    run(_client, _work)
