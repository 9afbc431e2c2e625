"""An engine: the process that claims jobs and runs them in its slots, under a supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
import uvloop

from esteira import ConfigurationError, Task
from esteira.database import Database, Listener, SyncDatabase
from esteira.logging import configure_logging
from esteira.settings import Settings
from esteira_worker.buffer import Buffer
from esteira_worker.channel import Channel
from esteira_worker.claimer import Claimer
from esteira_worker.endings import Released
from esteira_worker.executors import AsyncExecutor, Executor, ProcessExecutor, ThreadExecutor
from esteira_worker.kinship import die_with_parent
from esteira_worker.modules import load_tasks
from esteira_worker.settler import Settler
from esteira_worker.slot import Slot

_CHECK_SECONDS = 0.2
_STALE_SECONDS = 2.0
log = structlog.get_logger()


class Engine:
    """Wire buffer, claimer, slots and settler together, and stop them in good order."""

    def __init__(self, settings: Settings, worker_id: UUID, number: int, tasks: Mapping[str, Task[..., Any]]) -> None:
        session_name = f"esteira/{worker_id}/{number}"
        url = settings.require_database_url()
        self._database = Database(url, session_name=session_name)
        self._listening = Database(settings.direct_url or url, session_name=session_name)
        self._executors: dict[str, Executor] = {
            "async": AsyncExecutor(self._database),
            "thread": ThreadExecutor(SyncDatabase(url, session_name=session_name), settings.slots),
            "process": ProcessExecutor(url, session_name, settings.tasks),
        }
        self._buffer = Buffer()
        self._settler = Settler(self._database, lambda: self.claimer.notified(None))
        self._slots = [Slot(self._buffer, self._settler, self._executors, tasks) for _ in range(settings.slots)]
        self.claimer = Claimer(
            self._database, worker_id, number, sorted(tasks), settings.queues or None, self._buffer, self._settler, self._held
        )

    async def run(self, stopping: asyncio.Event, drain_seconds: float) -> None:
        """Work until told to stop, then drain."""
        settling = asyncio.create_task(self._settler.run())
        claiming = asyncio.create_task(self._claim())
        helpers = [
            asyncio.create_task(Listener(self._listening, self.claimer.notified).run()),
            asyncio.create_task(self._watch()),
        ]
        for slot in self._slots:
            slot.start()
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait([stop, settling, claiming, *helpers], return_when=asyncio.FIRST_COMPLETED)
        for task in (settling, claiming, *helpers):
            if task.done():
                task.result()  # none of these ends by itself: raise what ended it
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
        await self._drain(drain_seconds)
        for task in (settling, *helpers):
            task.cancel()
        for executor in self._executors.values():
            await executor.close()
        await self._database.close()

    def cancel(self, job_ids: set[UUID]) -> None:
        """Stop these jobs, since somebody cancelled them; what has not begun goes back, and ends as cancelled."""
        for slot in self._slots:
            if slot.job is not None and slot.job.id in job_ids:
                slot.interrupt("cancelled")
        if not job_ids.isdisjoint(self._buffer.ids()):
            self._release_buffer()

    async def _claim(self) -> None:
        while True:
            await self.claimer.run()
            await self._run_suspects()

    async def _run_suspects(self) -> None:
        """Run the jobs that were there when a process died, twice, one at a time and with nobody beside them."""
        self._release_buffer()
        await self._finish_slots()
        while self.claimer.suspects:
            job = self.claimer.suspects.pop()
            log.warning("job_runs_alone", job_id=str(job.id), task=job.task, crashes=job.crashes)
            self._slots[0].start(job)
            self._slots[0].finish()
            await self._slots[0].ended()
            await self._settler.drain()
        for slot in self._slots:
            slot.start()

    async def _watch(self) -> None:
        """Find timeouts, and jobs that sit in the buffer behind slow ones while another engine might run them."""
        loop = asyncio.get_running_loop()
        taken, moved_at = 0, loop.time()
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            now = loop.time()
            for slot in self._slots:
                if slot.job is not None and now >= slot.deadline:
                    slot.interrupt("timed_out")
            if self._buffer.taken != taken or not len(self._buffer):
                taken, moved_at = self._buffer.taken, now
            elif now - moved_at > _STALE_SECONDS:
                self._release_buffer()

    async def _drain(self, seconds: float) -> None:
        for job in self.claimer.suspects:
            self._settler.put(job, Released())
        self._release_buffer()
        log.info("engine_draining", running=sum(slot.job is not None for slot in self._slots), seconds=seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finish_slots()
        for slot in self._slots:
            slot.interrupt("released")
        await self._finish_slots()
        await self._settler.drain()

    async def _finish_slots(self) -> None:
        for slot in self._slots:
            slot.finish()
        await asyncio.gather(*(slot.ended() for slot in self._slots))

    def _release_buffer(self) -> None:
        for job in self._buffer.take_all():
            self._settler.put(job, Released())

    def _held(self) -> set[UUID]:
        waiting = self._buffer.ids() | {job.id for job in self.claimer.suspects}
        return waiting | {slot.job.id for slot in self._slots if slot.job} | self._settler.holds()


async def serve(end: socket.socket) -> None:
    """Run an engine as the supervisor at the other end of the socket says."""
    channel = await Channel.open(end)
    start = await channel.receive()
    if start is None:
        return
    settings = Settings(**start["settings"])
    configure_logging(settings.log_level, settings.log_format)
    structlog.contextvars.bind_contextvars(worker_id=start["worker_id"], engine=start["engine"])
    try:
        tasks = load_tasks(settings.tasks)
    except ConfigurationError as error:
        channel.send("unfit", error=str(error))
        return
    channel.send("ready", tasks=[task.declaration() for task in tasks.values()])
    if await channel.receive() is None:
        return
    engine = Engine(settings, UUID(start["worker_id"]), start["engine"], tasks)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # The supervisor decides; a Ctrl-C reaches the whole group.
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    orders = asyncio.create_task(_obey(channel, engine, stopping))
    await engine.run(stopping, settings.drain_seconds)
    orders.cancel()


async def _obey(channel: Channel, engine: Engine, stopping: asyncio.Event) -> None:
    while True:
        order = await channel.receive()
        if order is None:
            # The supervisor is gone, and with it the heartbeat: whatever runs here will be somebody else's.
            os._exit(1)
        match order["kind"]:
            case "beat":
                engine.claimer.engines = order["engines"]
                if order["cancel_ids"]:
                    engine.cancel({UUID(job_id) for job_id in order["cancel_ids"]})
            case "stop":
                stopping.set()


def main() -> None:
    """Start from the descriptor of the socket and the supervisor's process id, as the supervisor gives them."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    uvloop.run(serve(socket.socket(fileno=descriptor)))


if __name__ == "__main__":
    main()
