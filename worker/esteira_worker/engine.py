"""An engine: the process that claims jobs and runs them in its slots, under a supervisor."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
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
from esteira_worker.endings import Cancelled, Snoozed
from esteira_worker.executors import AsyncExecutor, Executor, ProcessExecutor, ThreadExecutor
from esteira_worker.kinship import die_with_parent, leave_stopping_to_parent
from esteira_worker.modules import load_tasks
from esteira_worker.settler import Settler
from esteira_worker.slot import Slot
from esteira_worker.watchdog import Watchdog

_CHECK_SECONDS = 0.2
_REPORT_SECONDS = 0.5
_STALE_SECONDS = 2.0
_SUSPECT_WAIT_SECONDS = 5.0
_SUSPECT_PAUSE = timedelta(minutes=1)
# After the drain: for handlers to clean up, before whatever they still hold is left to the supervisor.
_CLEAN_UP_SECONDS = 2.0
_COLLECT_AFTER = 10_000
log = structlog.get_logger()


class Engine:
    """Wire buffer, claimer, slots and settler together, and stop them in good order. tell: the supervisor."""

    def __init__(
        self,
        settings: Settings,
        worker_id: UUID,
        number: int,
        tasks: Mapping[str, Task[..., Any]],
        tell: Callable[..., None],
    ) -> None:
        session_name = f"esteira/{worker_id}/{number}"
        url = settings.require_database_url()
        self._database = Database(url, session_name=session_name)
        self._listening = Database(settings.require_direct_url(), session_name=session_name)
        self._executors: dict[str, Executor] = {
            # A connection for each slot: all may be in their transactions at once. They are opened when first needed.
            "async": AsyncExecutor(Database(url, session_name=session_name, size=settings.slots)),
            "thread": ThreadExecutor(SyncDatabase(url, session_name=session_name, size=settings.slots), settings.slots),
            "process": ProcessExecutor(settings, session_name, tell),
        }
        # Where steps of async tasks run plain functions: the loop's own default is six threads on two cores.
        self._threads = ThreadPoolExecutor(max(32, settings.slots), thread_name_prefix="esteira-step")
        self._buffer = Buffer()
        self._settler = Settler(self._database, lambda: self.claimer.notified(None))
        self._slots = [Slot(self._buffer, self._settler, self._executors, tasks) for _ in range(settings.slots)]
        self._watchdog = Watchdog(self._running)
        queues = settings.queues or None
        self.claimer = Claimer(
            self._database, worker_id, number, sorted(tasks), queues, self._buffer, self._settler, self._held
        )

    async def run(self, stopping: asyncio.Event, drain_seconds: float) -> None:
        """Work until told to stop, then drain. What cannot be stopped is left running."""
        asyncio.get_running_loop().set_default_executor(self._threads)
        settling = asyncio.create_task(self._settler.run())
        claiming = asyncio.create_task(self._claim())
        helpers = [
            asyncio.create_task(Listener(self._listening, self.claimer.notified).run()),
            asyncio.create_task(self._watch()),
        ]
        for slot in self._slots:
            slot.start()
        self._watchdog.start()
        stop = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait([stop, settling, claiming, *helpers], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # but for `stop` none of these ends by itself: raise what ended it
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
        await self._drain(drain_seconds)
        for task in (settling, *helpers):
            task.cancel()
        await asyncio.gather(settling, *helpers, return_exceptions=True)
        for executor in self._executors.values():
            await executor.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._database.close()
        self._watchdog.end()

    def report(self) -> dict[str, Any]:
        """Return what explains why jobs wait: held slots, and how long ago the claim loop came round."""
        claims_seconds = asyncio.get_running_loop().time() - self.claimer.turned_at
        return {"held": sum(slot.held for slot in self._slots), "claims_seconds": claims_seconds}

    def cancel(self, job_ids: set[UUID]) -> None:
        """Stop these jobs, since somebody cancelled them; what has not begun goes back, and ends as cancelled."""
        for slot in self._slots:
            if slot.job is not None and slot.job.id in job_ids:
                slot.interrupt("cancelled")
        suspect = self.claimer.suspect
        if suspect is not None and suspect.id in job_ids:
            self.claimer.suspect = None
            self._settler.put(suspect, Cancelled())
        if any(job_id in job_ids for job_id, _ in self._buffer.holds()):
            self._release_buffer()

    async def _claim(self) -> None:
        while True:
            await self.claimer.run()
            await self._run_suspect()

    async def _run_suspect(self) -> None:
        """Run a job that was there when a process died, twice, with nobody beside it: its crash is nobody else's.

        Where others run on, perhaps for an hour, it goes back for a while: it can wait better than all the rest.
        """
        self._release_buffer()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SUSPECT_WAIT_SECONDS):
                await self._finish_slots()
        free = [slot for slot in self._slots if slot.free]
        alone = bool(free) and all(slot.job is None or slot.disowned for slot in self._slots)
        if alone:
            await self._settler.drain()
        job, self.claimer.suspect = self.claimer.suspect, None
        if job is not None and not alone:
            self._settler.put(job, Snoozed(_SUSPECT_PAUSE))
        elif job is not None:
            log.warning("job_runs_alone", job_id=str(job.id), task=job.task, crashes=job.crashes)
            await free[0].run_alone(job)
            await self._settler.drain()
        for slot in self._slots:
            slot.resume()

    async def _watch(self) -> None:
        """Find timeouts, and jobs that sit in the buffer behind slow ones while another engine might run them."""
        loop = asyncio.get_running_loop()
        taken, moved_at = 0, loop.time()
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            self._watchdog.turned()
            now = loop.time()
            for slot in self._slots:
                slot.check(now)
                slot.revive()
            if self._buffer.taken != taken or not len(self._buffer):
                taken, moved_at = self._buffer.taken, now
            elif now - moved_at > _STALE_SECONDS:
                self._release_buffer()

    async def _drain(self, seconds: float) -> None:
        if self.claimer.suspect is not None:
            self._settler.release([self.claimer.suspect])
        self._release_buffer()
        log.info("engine_draining", running=sum(slot.job is not None for slot in self._slots), seconds=seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finish_slots()
        for slot in self._slots:
            slot.interrupt("released")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLEAN_UP_SECONDS):
                await self._finish_slots()
        await self._settler.drain()

    async def _finish_slots(self) -> None:
        for slot in self._slots:
            slot.finish()
        await asyncio.gather(*(slot.ended() for slot in self._slots if not slot.disowned))

    def _release_buffer(self) -> None:
        self._settler.release(self._buffer.take_all())

    def _running(self) -> list[str]:
        """Return the names of the tasks that run now; for another thread too."""
        return sorted({job.task for job in [slot.job for slot in self._slots] if job})

    def _held(self) -> set[tuple[UUID, int]]:
        """Return the (id, attempt) of all that this engine claimed and has not settled."""
        jobs = [self.claimer.suspect, *(slot.job for slot in self._slots)]
        return {(job.id, job.attempt) for job in jobs if job} | self._buffer.holds() | self._settler.holds()


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
    if not await _told_to_go(channel):
        return
    engine = Engine(settings, UUID(start["worker_id"]), start["engine"], tasks, channel.send)
    stopping = asyncio.Event()
    # What was imported stays: the collector went through all of it again and again, 1 to 2 of 12 µs a job.
    gc.collect()
    gc.freeze()
    # Of the jobs on their way thousands live at once: looking for cycles after each 700 new objects was a tenth of all.
    gc.set_threshold(_COLLECT_AFTER)
    talks = [asyncio.create_task(talk) for talk in (_obey(channel, engine, stopping), _report(channel, engine))]
    await engine.run(stopping, settings.drain_seconds)
    for talk in talks:
        talk.cancel()
    _leave()


async def _told_to_go(channel: Channel) -> bool:
    while (order := await channel.receive()) is not None and order["kind"] != "stop":
        if order["kind"] == "go":
            return True
    return False


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


async def _report(channel: Channel, engine: Engine) -> None:
    """Tell the supervisor how things stand; where it hears nothing, the loop stands still."""
    while True:
        channel.send("state", **engine.report())
        await asyncio.sleep(_REPORT_SECONDS)


def _leave(code: int = 0) -> None:
    """End the process, whatever threads still run in it: nothing of theirs could be stored any more."""
    atexit._run_exitfuncs()  # noqa: SLF001 - os._exit forgets them, and an ordinary exit waits for every thread
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def main() -> None:
    """Start from the descriptor of the socket and the supervisor's process id, as the supervisor gives them."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    leave_stopping_to_parent()
    try:
        uvloop.run(serve(socket.socket(fileno=descriptor)))
    except BaseException:  # noqa: BLE001 - an ordinary exit would wait for every thread, and the jobs with it
        traceback.print_exc()
        _leave(1)


if __name__ == "__main__":
    main()
