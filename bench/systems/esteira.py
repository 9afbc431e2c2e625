"""Esteira: results stored, history kept, every settle fenced."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from bench.program import Payload, run, serve
from bench.system import Command, Counts, database_url, own_python

if TYPE_CHECKING:
    from bench.servers import Place

# With handlers that never wait, more slots only make larger batches.
SLOTS = 100

_SETTLED = """
select not exists (select from esteira.job_live where worker_id is not null)
   and not exists (
    select from esteira.job_live
    where status = 'queued' and queue = 'default' and priority = 1 and ready_at <= clock_timestamp())
"""
_DONE = "select count(*) from esteira.job_finished where task = 'bench.job' and status = 'completed' and attempt = 1"


class Esteira:
    """This repository."""

    name = "esteira"
    pace = 60_000
    handles = True
    on_postgres = True
    cannot: Mapping[str, str] = {}
    settings = f"{SLOTS} slots; results and history kept"

    def version(self) -> str:
        """Return the version of this tree."""
        return version("esteira")

    def client(self, place: Place) -> Command:
        """Run the client below."""
        return own_python("bench.systems.esteira", "client")

    def workers(self, place: Place, processes: int, slots: int | None) -> list[Command]:
        """One worker with so many engine processes, as its users would start it."""
        environment = {
            "ESTEIRA_DATABASE_URL": place.url,
            "ESTEIRA_TASKS": "bench.tasks",
            "ESTEIRA_SLOTS": str(slots or SLOTS),
            "ESTEIRA_PROCESSES": str(processes),
            "ESTEIRA_LOG_LEVEL": "error",
            "ESTEIRA_DRAIN_SECONDS": "1",
        }
        return [own_python("esteira_worker", **environment)]

    async def settled(self, place: Place) -> bool:
        """Neither running nor due."""
        return bool(await place.value(_SETTLED))

    async def counts(self, place: Place) -> Counts:
        """Live jobs; completed ones at their first attempt: one that ran twice does not count."""
        return Counts(await place.value("select count(*) from esteira.job_live"), await place.value(_DONE))

    async def finish(self, place: Place, rows: int) -> bool:
        """Write a week of jobs that have ended."""
        from bench.history import fill

        await fill(await place.connected(), rows, live=0)
        return True


async def _client() -> None:
    from esteira import Client, NewJob
    from esteira_migrations import upgrade

    class _Client:
        async def install(self) -> None:
            await asyncio.to_thread(upgrade, database_url())

        async def one(self, payload: Payload, delay_seconds: float) -> None:
            await client.enqueue("bench.job", payload, delay=delay_seconds or None)

        async def many(self, payloads: list[Payload], delay_seconds: float) -> None:
            await client.enqueue_many(
                [NewJob("bench.job", payload, delay=delay_seconds or None) for payload in payloads]
            )

    async with Client(database_url()) as client:
        await serve(_Client())


async def _work(_slots: int | None) -> None:
    raise SystemExit("Esteira's worker is a program of its own: python -m esteira_worker")


SYSTEM = Esteira()

if __name__ == "__main__":
    run(_client, _work)
