"""Celery with Redis as its broker. Results are not stored."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench import peers, redis_server
from bench.ledger import saw
from bench.program import Payload, run, serve
from bench.system import Command, Counts, python

if TYPE_CHECKING:
    from bench.servers import Place

CHILDREN = 2
# Acknowledged when done: otherwise a worker that is killed loses what it had taken, which no other system here does.
# To prefetch many is what its guide to optimizing says of short tasks. Results that nobody asks for are not stored.
OPTIONS: Mapping[str, Any] = {
    "task_acks_late": True,
    "worker_prefetch_multiplier": 16,
    "task_ignore_result": True,
    "broker_connection_retry_on_startup": True,
}
_NO_POSTGRES = "its jobs are in Redis"


class Celery:
    """The most used queue of Python."""

    name = "celery"
    pace = 1_000
    handles = True
    on_postgres = False
    settings = (
        f"Redis with its log flushed at each write, prefork {CHILDREN} (threads where handlers wait), acks_late,"
        " prefetch 16, results ignored"
    )
    cannot: Mapping[str, str] = {
        "snapshot": _NO_POSTGRES,
        "finished": "it keeps no finished jobs",
        "future": "its workers take jobs of the future into their memory",
    }

    def version(self) -> str:
        """Return the installed version. Raises MissingError, for want of Redis too."""
        redis_server.require()
        return peers.python_peer("celery")

    def client(self, place: Place) -> Command:
        """Run the client below."""
        return _at(peers.python_program("bench.systems.celery", "client"), place)

    def workers(self, place: Place, processes: int, slots: int | None) -> list[Command]:
        """Run so many workers, each with children; with threads instead where handlers wait."""
        pool = ["--pool", "prefork", "--concurrency", str(CHILDREN)]
        if slots is not None:
            pool = ["--pool", "threads", "--concurrency", str(slots)]
        options = ["--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        arguments = ["--app", "bench.systems.celery:app", "worker", *options, *pool]
        return [
            _at(python(peers.PYTHON, "celery", *arguments, "--hostname", f"worker{number}"), place)
            for number in range(processes)
        ]

    async def settled(self, place: Place) -> bool:
        """Neither in the queue nor unacknowledged."""
        return (await self.counts(place)).left == 0

    async def counts(self, place: Place) -> Counts:
        """Count the queue and what is unacknowledged."""
        port = place.servers.redis_port()
        waiting = int(await redis_server.ask(port, "llen", "celery"))
        return Counts(waiting + int(await redis_server.ask(port, "hlen", "unacked")), None)

    async def finish(self, place: Place, rows: int) -> bool:
        """Keep nothing."""
        return False


def _at(command: Command, place: Place) -> Command:
    return Command(command.arguments, {**command.environment, "BENCH_REDIS": str(place.servers.redis_port())})


def _app() -> Any:
    from celery import Celery as App

    made = App("bench", broker=f"redis://127.0.0.1:{os.environ['BENCH_REDIS']}/0")
    made.conf.update(OPTIONS)
    made.task(name="bench")(_handle)
    return made


def _handle(n: int, ms: int, pad: str) -> None:  # noqa: ARG001
    saw(n)
    if ms:
        time.sleep(ms / 1000)


async def _client() -> None:
    made = _app()
    task = made.tasks["bench"]

    class _Client:
        async def install(self) -> None:
            await asyncio.to_thread(made.control.purge)

        async def one(self, payload: Payload, delay_seconds: float) -> None:
            task.apply_async(kwargs=payload)

        async def many(self, payloads: list[Payload], delay_seconds: float) -> None:
            # It has no call for many; one producer for all spares taking one from the pool for each.
            with made.producer_or_acquire() as producer:
                for payload in payloads:
                    task.apply_async(kwargs=payload, producer=producer)

    await serve(_Client())


async def _work(_slots: int | None) -> None:
    raise SystemExit("Celery's worker is a program of its own: celery --app bench.systems.celery:app worker")


SYSTEM = Celery()

if __name__ == "__main__":
    run(_client, _work)
elif "BENCH_REDIS" in os.environ:
    app = _app()
