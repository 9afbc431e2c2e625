"""A worker in the test's own event loop: a real one's buffer, slots, executors and settler, and no clock of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Self
from uuid import UUID, uuid4

import orjson

import esteira
from esteira.app import App
from esteira.database import Database, SyncDatabase
from esteira.durations import Duration, to_timedelta
from esteira.errors import ConfigurationError, UnknownTask
from esteira.job import Job
from esteira.running import Claimed
from esteira.settings import read_settings
from esteira.task import Payload, Task
from esteira.testing.clock import Clock
from esteira.testing.faults import Error, Faults, FaultyContext, FaultySyncContext
from esteira_worker.buffer import Buffer
from esteira_worker.claimer import CLAIM, claimed_from
from esteira_worker.executors import AsyncExecutor, Executor, ThreadExecutor
from esteira_worker.floors import Floors
from esteira_worker.settler import Settler
from esteira_worker.slot import Slot

_LOOK_SECONDS = 0.02
_LEASE_TICKS = 6
_STOP_SECONDS = 2.0
_ENGINE = 1


class Worker:
    """Run the jobs of some Apps in this event loop, only when told to. An asynchronous context manager.

    apps: one or several; while the worker lives, their tasks enqueue into its database. database_url:
    ESTEIRA_DATABASE_URL where it is not given. slots: jobs at once; more than one for tasks that wait for one another.
    Tasks of the executor "process" run in threads here. Sessions that the test opened itself keep the time they had
    when the clock is moved.
    """

    def __init__(self, apps: App | Sequence[App], database_url: str | None = None, *, slots: int = 1) -> None:
        self.apps = [apps] if isinstance(apps, App) else list(apps)
        self.database_url = database_url or read_settings().require_database_url()
        self.id = uuid4()
        self._count = slots
        self._faults = Faults()

    async def __aenter__(self) -> Self:
        self._tasks = {name: task for app in self.apps for name, task in app.tasks.items()}
        session = f"esteira/{self.id}/{_ENGINE}"
        self._database = Database(self.database_url, session_name=session)
        self._contexts = Database(self.database_url, session_name=session, size=self._count)
        self._sync_contexts = SyncDatabase(self.database_url, session_name=session, size=self._count)
        self._clock = Clock(self._database)
        self._buffer = Buffer()
        self._settler = Settler(self._database)
        self._executors = self._make_executors()
        self._slots = [Slot(self._buffer, self._settler, self._executors, self._tasks) for _ in range(self._count)]
        self._addresses = [app.database_url for app in self.apps]
        for app in self.apps:
            await app.close()
            app.database_url = self.database_url
        await self._register()
        self._settling = asyncio.create_task(self._settler.run())
        for slot in self._slots:
            slot.start()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            await self._stop()
            await self._clock.let_go()
            await self._database.fetch("select esteira.retire($1)", self.id)
        finally:
            for app, address in zip(self.apps, self._addresses, strict=True):
                await app.close()
                app.database_url = address
            for executor in self._executors.values():
                await executor.close()
            await self._database.close()
        if kind is None:
            self._faults.check()

    async def run(self, task: Task[..., Any] | str, payload: Payload = None, **options: Any) -> Job:
        """Enqueue a job of a task, or of its name, drain, and return the job after it, however it ended.

        Raises UnknownTask for a name that none of the Apps declares.
        """
        if isinstance(task, str):
            task = self._named(task)
        handle = await task.enqueue(payload, **options)
        await self.drain()
        return await handle.job()

    async def drain(self, *, limit: int = 1000) -> list[Job]:
        """Run all that is ready, until nothing is; returns the jobs that ran, as they are after, in their order.

        What is scheduled, or waits for its retry, runs when its time has come: see `advance`.
        Raises RuntimeError where jobs are still ready after so many runs.
        """
        await self._maintain()
        ran: dict[UUID, None] = {}
        runs = 0
        while True:
            # Looked at before the claim: what still runs may enqueue something that the claim does not see.
            idle = self._is_idle()
            jobs = await self._claim()
            runs += len(jobs)
            if runs > limit:
                self._settler.release(jobs)
                await self._settler.drain()
                raise RuntimeError(f"jobs are still ready after {limit} runs: does a task enqueue itself?")
            if idle and not jobs:
                break
            self._buffer.put(jobs)
            ran.update(dict.fromkeys(job.id for job in jobs))
            await self._pause()
        found = await self.apps[0].client.get_many(list(ran))
        return [found[job_id] for job_id in ran if job_id in found]

    async def now(self) -> datetime:
        """Return the queue's time."""
        return await self._clock.now()

    async def advance(self, by: Duration) -> datetime:
        """Move the queue's clock forward, for the whole database, and return what it shows; it then stands still."""
        await self._clock.advance(to_timedelta(by))
        await self._renew()
        return await self._clock.now()

    def fail_step(self, step: str, error: Error, *, times: int = 1) -> None:
        """Let the next runs of the step of this name raise the error instead of running; a step's retries count.

        Raises ConfigurationError for a step that no task can have; leaving the worker raises AssertionError where no
        job came to it.
        """
        tasks = [task for task in self._tasks.values() if task.signature.context_parameter is not None]
        declared = {name for task in tasks for name in task.policy.steps}
        if step not in declared and all(task.policy.steps for task in tasks):
            known = ", ".join(sorted(declared)) or "none"
            raise ConfigurationError(f'no task of this worker has a step "{step}"; declared are {known}')
        self._faults.plan(step, error, times)

    def _named(self, name: str) -> Task[..., Any]:
        try:
            return self._tasks[name]
        except KeyError:
            known = ", ".join(sorted(self._tasks)) or "none"
            raise UnknownTask(f'no App of this worker declares a task "{name}"; there are {known}') from None

    def _make_executors(self) -> Mapping[str, Executor]:
        threads = ThreadExecutor(self._sync_contexts, self._count, partial(FaultySyncContext, self._faults))
        on_loop = AsyncExecutor(self._contexts, partial(FaultyContext, self._faults))
        return {"async": on_loop, "thread": threads, "process": threads}

    async def _register(self) -> None:
        await self._database.fetch(
            "select esteira.register($1, $2, $3, $4, null, 1, $5, $6)",
            self.id, socket.gethostname(), os.getpid(), esteira.__version__, self._count,
            orjson.dumps([task.declaration() for task in self._tasks.values()]).decode(),
        )  # fmt: skip

    async def _maintain(self) -> None:
        """Do what a living worker does once a second."""
        await self._beat()
        await self._database.fetch("select esteira.tick($1)", _LEASE_TICKS)

    async def _beat(self) -> None:
        row = await self._database.fetchrow("select cancel_ids from esteira.heartbeat($1)", self.id)
        cancelled = set(row["cancel_ids"]) if row else set()
        for slot in self._slots:
            if slot.job is not None and slot.job.id in cancelled:
                slot.interrupt("cancelled")

    async def _claim(self) -> list[Claimed]:
        """Claim as many as there are idle slots, from the front of each queue."""
        wanted = self._buffer.idle if self._is_busy() else max(self._buffer.idle, 1)
        if not wanted:
            return []
        queues = [row[0] for row in await self._database.fetch("select esteira.ready_queues()")]
        lanes = Floors().lanes(queues, sweep=True)
        rows = await self._database.fetch(CLAIM, self.id, _ENGINE, wanted, list(self._tasks), *lanes)
        return claimed_from(rows)

    def _is_busy(self) -> bool:
        return bool(len(self._buffer)) or any(slot.job is not None and not slot.disowned for slot in self._slots)

    def _is_idle(self) -> bool:
        return not self._is_busy() and not self._settler.unsettled

    async def _pause(self) -> None:
        """Wait until something ended, for a moment; hear of cancelled jobs, and of those that run too long."""
        if not self._is_busy():
            await self._settler.drain()
            return
        self._buffer.demand.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._buffer.demand.wait()
                return
        for slot in self._slots:
            slot.check(asyncio.get_running_loop().time())
        await self._beat()

    async def _renew(self) -> None:
        """Close all sessions: the next ones see the time that was set."""
        for database in (self._database, self._contexts, *(app.client.database for app in self.apps)):
            await database.close()
        for plain in (self._sync_contexts, *(app.sync_client.database for app in self.apps)):
            plain.close()

    async def _stop(self) -> None:
        """Let nothing go on: what still runs is stopped and goes back."""
        for slot in self._slots:
            slot.finish()
            slot.interrupt("released")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await asyncio.gather(*(slot.ended() for slot in self._slots))
        self._settler.release(self._buffer.take_all())
        await self._settler.drain()
        self._settling.cancel()
