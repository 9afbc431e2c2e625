"""One life of a worker: from its registration until it stops in good order, or is given up."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import socket
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import structlog

import esteira
from esteira.database import Database
from esteira.database.outage import outage
from esteira.database.pool import Record
from esteira.errors import ConfigurationError, DatabaseUnavailable
from esteira.settings import Settings
from esteira_worker.engine_process import EngineProcess
from esteira_worker.spacing import Spacing
from esteira_worker.stop import Stop

# What a dead engine's last claim took after its death: while that waited, in a pooler, its crash was settled already.
_RELEASE_STRAYS = """
select esteira.release(array_agg(id), array_agg(attempt)) from esteira.job_live
where worker_id = $1 and engine = any($2::text[]::integer[]) and status = 'running'
having count(*) > 0
"""
# Arrays as text: for others asyncpg asks the catalogue, 7 ms on each new connection, just when all workers come back.
_HEARTBEAT = """
select engines, cancel_ids::text[], draining from esteira.heartbeat($1, $2, $3::text[]::integer[], $4)
"""
_BEAT_SECONDS = 1.0
_SHORTEST_REST_SECONDS = 0.1
# A heartbeat that takes longer than the lease is none.
_BEAT_DEADLINE_SECONDS = 3.0
_KILL_AFTER_DRAIN_SECONDS = 5.0
_SHORT_LIFE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 32.0
_CRASH_PATIENCE_SECONDS = 600.0
_RETIRE_PATIENCE_SECONDS = 5.0
_TICK = "select esteira.tick($1, $2)"
_RETAIN = "select esteira.retain($1, $2)"
_RETAIN_BATCH = 5000
_RETAIN_EVERY = timedelta(seconds=50)  # over all workers
log = structlog.get_logger()


class Lost(Exception):
    """Say that this worker was given up."""


class Life:
    """Hold a worker's lease and keep its engines running."""

    def __init__(self, settings: Settings, database: Database, stop: Stop) -> None:
        self._settings = settings
        self._database = database
        self._stop = stop
        self._engines: dict[int, EngineProcess] = {}
        self._buried: list[str] = []
        self._stalled: set[int] = set()
        self._numbers = itertools.count(1)
        # About how many share the maintenance.
        self._workers = 1
        self._looks = Spacing()
        self.worker_id = uuid4()
        self.registered = False

    async def run(self) -> None:
        """Live until told to stop.

        Raises Lost when given up, ConfigurationError where the tasks cannot be imported, DatabaseUnavailable.
        """
        try:
            engine = await self._start_engine()
            tasks = await self._stop.unless_told(engine.ready())
            if tasks is not None:
                await self._register(tasks)
                await self._work(engine)
        finally:
            # Also when given up: at once, since every job that still runs here runs somewhere else by now.
            for engine in self._engines.values():
                engine.kill()

    async def _register(self, tasks: list[dict[str, Any]]) -> None:
        settings = self._settings
        await self._database.fetch(
            "select esteira.register($1, $2, $3, $4, $5, $6, $7, $8)",
            self.worker_id, socket.gethostname(), os.getpid(), esteira.__version__, list(settings.queues) or None,
            settings.processes, settings.processes * settings.slots, orjson.dumps(tasks).decode(),
        )  # fmt: skip
        self.registered = True
        log.info("worker_started", tasks=[task["name"] for task in tasks], queues=settings.queues or "all")

    async def _work(self, first: EngineProcess) -> None:
        beating = asyncio.create_task(self._beat())
        keeping = [self._keep(first), *(self._keep(None) for _ in range(1, self._settings.processes))]
        others = [asyncio.create_task(loop) for loop in (self._maintain(), self._retain(), *keeping)]
        told = asyncio.create_task(self._stop.told.wait())
        try:
            done, _ = await asyncio.wait([told, beating, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # but for `told` none of these ends by itself: raise what ended it
            for task in others:
                task.cancel()
            await self._end(beating)
        finally:
            for task in (told, beating, *others):
                task.cancel()

    async def _beat(self) -> None:
        """Beat once a second, until this worker is given up."""
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(_BEAT_DEADLINE_SECONDS):
                    row = await self._database.fetchrow(_HEARTBEAT, self.worker_id, *self._standing())
            except (DatabaseUnavailable, TimeoutError) as error:
                outage.failed("heartbeat", error)
            except Exception:
                log.exception("heartbeat_failed")
            else:
                outage.succeeded("heartbeat")
                self._pass_on(row)
            await _rest_of_the_second(began)

    def _standing(self) -> tuple[int, list[str] | None, timedelta | None]:
        """Return the held slots of the engines that work, the numbers of those that stand still, and for how long."""
        stalls = (
            {}
            if self._stop.told.is_set()
            else {e.number: stall for e in self._engines.values() if (stall := e.stalled())}
        )
        for number in stalls.keys() - self._stalled:
            what, seconds = stalls[number]
            log.warning(
                "engine_stalled", engine=number, pid=self._engines[number].pid, what=what, seconds=round(seconds, 1)
            )
        self._stalled = set(stalls)
        held = sum(engine.held for engine in self._engines.values() if engine.number not in stalls)
        if not stalls:
            return held, None, None
        longest = max(seconds for _, seconds in stalls.values())
        return held, [str(number) for number in sorted(stalls)], timedelta(seconds=longest)

    def _pass_on(self, row: Record | None) -> None:
        """Pass on to the engines what the database answers to a beat; no row means that this worker was given up."""
        if row is None:
            raise Lost
        self._workers = max(1, row["engines"] // self._settings.processes)
        for engine in self._engines.values():
            engine.channel.send("beat", engines=row["engines"], cancel_ids=row["cancel_ids"])
        if row["draining"] and not self._stop.told.is_set():
            log.info("worker_asked_to_drain")
            self._stop.tell()

    async def _maintain(self) -> None:
        """Do a share of the maintenance, and look after what our own dead engines left behind."""
        while True:
            began = time.monotonic()
            try:
                rescued = await self._tick(began)
                if rescued:
                    log.warning("jobs_rescued", jobs=rescued)
                await self._release_strays()
                outage.succeeded("tick")
            except DatabaseUnavailable as error:
                outage.failed("tick", error)
            except Exception:
                log.exception("tick_failed")
            await _rest_of_the_second(began)

    async def _tick(self, began: float) -> int | None:
        """Tick; return how many jobs were rescued, None if another worker was about it."""
        thorough = self._looks.due(began, self._workers)
        rescued: int | None = 0
        try:
            rescued = await self._database.fetchval(_TICK, self._settings.lease_ticks, thorough)
        finally:
            # Also after one that took too long, so that the next counts the leases at least.
            if thorough and rescued is not None:
                self._looks.looked(began, time.monotonic())
        return rescued

    async def _retain(self) -> None:
        """Do a share of the retention, apart from the tick, which it must not delay."""
        every = _RETAIN_EVERY
        while True:
            removed = 0
            try:
                removed = await self._database.fetchval(_RETAIN, _RETAIN_BATCH, every)
            except DatabaseUnavailable as error:
                # The other loops say so, and look for it far more often.
                log.info("retention_failed", error=str(error))
            except Exception:
                log.exception("retention_failed")
            if removed:
                log.info("retention_removed", rows=removed)
            more = removed >= _RETAIN_BATCH
            every = timedelta() if more else _RETAIN_EVERY
            await asyncio.sleep(0.1 if more else random.uniform(50, 70))  # noqa: S311 - no secret

    async def _keep(self, engine: EngineProcess | None) -> None:
        """Keep one engine running: return the jobs of one that dies, and start the next."""
        short_lives = 0
        while True:
            engine = engine or await self._next_engine()
            engine.go()
            log.info("engine_started", engine=engine.number)
            began = asyncio.get_running_loop().time()
            await self._bury(engine, await engine.ended())
            engine = None
            if asyncio.get_running_loop().time() - began > _SHORT_LIFE_SECONDS:
                short_lives = 0
            else:
                # One that dies at once, again and again, must not keep the machine busy.
                await _pause(short_lives)
                short_lives += 1

    async def _next_engine(self) -> EngineProcess:
        """Start an engine until one is ready: what was fit once may be unfit for a while, as files are replaced."""
        for failures in itertools.count():
            engine = await self._start_engine()
            try:
                await engine.ready()
            except ConfigurationError as error:
                log.warning("engine_unfit", engine=engine.number, error=str(error))
                engine.kill()
                del self._engines[engine.number]
                await _pause(failures)
            else:
                return engine
        raise AssertionError("itertools.count does not end")

    async def _bury(self, engine: EngineProcess, how: str) -> None:
        del self._engines[engine.number]
        engine.kill()
        returned = await self._database.fetchval(
            "select esteira.crash($1, $2, $3)", self.worker_id, engine.number, f"the engine process {how}",
            patience=_CRASH_PATIENCE_SECONDS,
        )  # fmt: skip
        self._buried.append(str(engine.number))
        log.error("engine_died", engine=engine.number, how=how, jobs_returned=returned)

    async def _release_strays(self) -> None:
        if self._buried:
            released = await self._database.fetchval(_RELEASE_STRAYS, self.worker_id, self._buried)
            if released:
                log.warning("stray_jobs_released", jobs=released)

    async def _start_engine(self) -> EngineProcess:
        engine = await EngineProcess.start(next(self._numbers), self.worker_id, self._settings)
        self._engines[engine.number] = engine
        return engine

    async def _end(self, beating: asyncio.Task[None]) -> None:
        """Let the engines drain, then give back whatever is left; a second word to stop cuts it short."""
        log.info("worker_stopping", drain_seconds=self._settings.drain_seconds)
        for engine in self._engines.values():
            engine.channel.send("stop")
        hurry = asyncio.create_task(self._stop.hurry.wait())
        gone = asyncio.create_task(self._all_ended())
        await asyncio.wait(
            [hurry, gone, beating],
            timeout=self._settings.drain_seconds + _KILL_AFTER_DRAIN_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        hurry.cancel()
        for engine in self._engines.values():
            engine.kill()
        await gone
        returned = await self._database.fetchval(
            "select esteira.retire($1)", self.worker_id, patience=_RETIRE_PATIENCE_SECONDS
        )
        log.info("worker_stopped", jobs_returned=returned)

    async def _all_ended(self) -> None:
        for engine in list(self._engines.values()):
            await engine.ended()


async def _pause(times: int) -> None:
    """Wait before another engine is started, longer each time, with jitter."""
    await asyncio.sleep(random.uniform(0.25, 0.5) * min(_LONGEST_PAUSE_SECONDS, 2 ** min(times, 10)))  # noqa: S311 - no secret


async def _rest_of_the_second(began: float) -> None:
    """Sleep so that the next round begins a second after this one did: a lease is counted in rounds."""
    await asyncio.sleep(max(_SHORTEST_REST_SECONDS, began + _BEAT_SECONDS - time.monotonic()))
