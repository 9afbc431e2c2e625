"""The supervisor: it holds the heartbeat, starts engines, and returns the jobs of one that dies. It never runs user code."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import socket
import sys
from typing import Any
from uuid import UUID, uuid4

import orjson
import structlog
import uvloop

import esteira
from esteira.client import Client
from esteira.database import Database
from esteira.errors import ConfigurationError, DatabaseUnavailable
from esteira.settings import Settings
from esteira_worker.channel import Channel

_BEAT_SECONDS = 1.0
# A heartbeat that takes longer than the lease is none.
_BEAT_DEADLINE_SECONDS = 3.0
_KILL_AFTER_DRAIN_SECONDS = 5.0
_SHORT_LIFE_SECONDS = 5.0
_CRASH_PATIENCE_SECONDS = 600.0
log = structlog.get_logger()


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; a second signal cuts the drain short. Returns the exit code.

    Raises ConfigurationError (no database, no tasks), SchemaMismatch, DatabaseUnavailable at the start.
    """
    return uvloop.run(Supervisor(settings).run())


class Lost(Exception):
    """Say that this worker was given up."""


class Supervisor:
    """Keep one worker alive. Given up, it kills its engines and begins anew under another id."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database(settings.require_database_url(), session_name="esteira-supervisor", size=3)
        self._engines: dict[int, EngineProcess] = {}
        self._numbers = itertools.count(1)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._worker_id = uuid4()

    async def run(self) -> int:
        """Run until told to stop; 0 where everything was settled or given back."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        try:
            await Client(database=self._database).check_schema()
            while not self._stopping.is_set():
                await self._live()
        finally:
            await self._database.close()
        return 0

    def _on_signal(self) -> None:
        (self._hurry if self._stopping.is_set() else self._stopping).set()

    async def _live(self) -> None:
        """Live one life as a worker: from registering to the orderly stop, or to being given up."""
        self._worker_id = uuid4()
        structlog.contextvars.bind_contextvars(worker_id=str(self._worker_id))
        loops: list[asyncio.Task[None]] = []
        try:
            first = await self._start_engine()
            await self._register(await first.ready())
            loops = [asyncio.create_task(loop) for loop in (self._beat(), self._maintain(), self._keep(first))]
            loops += [asyncio.create_task(self._keep(None)) for _ in range(1, self._settings.processes)]
            stop = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([stop, *loops], return_when=asyncio.FIRST_COMPLETED)
            for loop in loops:
                if loop.done():
                    loop.result()
            await self._stop()
        except Lost:
            log.error("worker_given_up")
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            for engine in self._engines.values():
                engine.kill()
            self._engines.clear()

    async def _register(self, tasks: list[dict[str, Any]]) -> None:
        settings = self._settings
        await self._database.fetch(
            "select esteira.register($1, $2, $3, $4, $5, $6, $7, $8)",
            self._worker_id, socket.gethostname(), os.getpid(), esteira.__version__, list(settings.queues) or None,
            settings.processes, settings.processes * settings.slots, orjson.dumps(tasks).decode(),
        )  # fmt: skip
        log.info("worker_started", tasks=[task["name"] for task in tasks], queues=settings.queues or "all")

    async def _beat(self) -> None:
        """Beat once a second and pass on to the engines what the database says."""
        while True:
            try:
                async with asyncio.timeout(_BEAT_DEADLINE_SECONDS):
                    row = await self._database.fetchrow("select engines, cancel_ids from esteira.heartbeat($1)", self._worker_id)
                if row is None:
                    raise Lost
                for engine in self._engines.values():
                    engine.channel.send("beat", engines=row["engines"], cancel_ids=[str(job_id) for job_id in row["cancel_ids"]])
            except (DatabaseUnavailable, TimeoutError) as error:
                log.warning("heartbeat_failed", error=str(error) or "timed out")
            await asyncio.sleep(_BEAT_SECONDS)

    async def _maintain(self) -> None:
        """Do a share of the maintenance: rescue, partitions."""
        while True:
            try:
                rescued = await self._database.fetchval("select esteira.tick($1)", self._settings.lease_ticks)
                if rescued:
                    log.warning("jobs_rescued", jobs=rescued)
            except DatabaseUnavailable as error:
                log.warning("tick_failed", error=str(error))
            await asyncio.sleep(_BEAT_SECONDS)

    async def _keep(self, engine: EngineProcess | None) -> None:
        """Keep one engine running: return the jobs of one that dies, and start the next."""
        while True:
            if engine is None:
                engine = await self._start_engine()
                await engine.ready()
            engine.channel.send("go")
            began = asyncio.get_running_loop().time()
            how = await engine.ended()
            if self._stopping.is_set():
                return
            await self._bury(engine, how)
            # One that dies at once, again and again, must not keep the machine busy.
            if asyncio.get_running_loop().time() - began < _SHORT_LIFE_SECONDS:
                await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311
            engine = None

    async def _bury(self, engine: EngineProcess, how: str) -> None:
        del self._engines[engine.number]
        returned = await self._database.fetchval(
            "select esteira.crash($1, $2, $3)", self._worker_id, engine.number, f"the engine process {how}", patience=_CRASH_PATIENCE_SECONDS
        )
        log.error("engine_died", engine=engine.number, how=how, jobs_returned=returned)

    async def _start_engine(self) -> EngineProcess:
        engine = await EngineProcess.start(next(self._numbers), self._worker_id, self._settings)
        self._engines[engine.number] = engine
        return engine

    async def _stop(self) -> None:
        """Let the engines drain, then give back whatever is left; a second signal cuts it short."""
        log.info("worker_stopping", drain_seconds=self._settings.drain_seconds)
        for engine in self._engines.values():
            engine.channel.send("stop")
        hurry = asyncio.create_task(self._hurry.wait())
        gone = asyncio.gather(*(engine.ended() for engine in self._engines.values()))
        await asyncio.wait(
            [hurry, gone], timeout=self._settings.drain_seconds + _KILL_AFTER_DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        hurry.cancel()
        for engine in self._engines.values():
            engine.kill()
        await gone
        for number in self._engines:
            await self._database.fetchval("select esteira.disconnect($1)", f"esteira/{self._worker_id}/{number}")
        returned = await self._database.fetchval("select esteira.retire($1)", self._worker_id)
        log.info("worker_stopped", jobs_returned=returned)


class EngineProcess:
    """An engine, as its supervisor sees it."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.channel = channel
        self._process = process

    @classmethod
    async def start(cls, number: int, worker_id: UUID, settings: Settings) -> EngineProcess:
        """Start the process; user code is imported there and nowhere else."""
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: the current directory must not stand in front of installed packages.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "esteira_worker.engine", str(theirs.fileno()), str(os.getpid()),
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        engine = cls(number, process, await Channel.open(ours))
        engine.channel.send("start", settings=settings.model_dump(mode="json"), worker_id=str(worker_id), engine=number)
        return engine

    async def ready(self) -> list[dict[str, Any]]:
        """Wait until it has imported the tasks, and return their declarations. Raises ConfigurationError where it cannot."""
        message = await self.channel.receive()
        if message is None:
            raise ConfigurationError(f"the engine process {await self.ended()} while it imported the tasks; its traceback stands above")
        if message["kind"] == "unfit":
            raise ConfigurationError(message["error"])
        tasks: list[dict[str, Any]] = message["tasks"]
        return tasks

    async def ended(self) -> str:
        """Wait for its end and say how it ended."""
        code = await self._process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    def kill(self) -> None:
        """Kill it, if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
        self.channel.close()
