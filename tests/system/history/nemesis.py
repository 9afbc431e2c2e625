"""Somebody who breaks things on purpose, in an order that a seed decides, and notes each fault in the ledger."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from esteira.database import Database
from esteira.history import Ledger
from tests.worker.conftest import until
from tests.worker.processes import Worker, children

SESSIONS = """
select pid from pg_stat_activity
where datname = current_database() and starts_with(application_name, 'esteira') and pid <> pg_backend_pid()
order by backend_start, pid
"""
# What broke the database before may not be over.
PATIENCE = 30.0
BUSY = "select distinct worker_id from esteira.job_live where status = 'running'"


class Nemesis:
    """Hold workers, and do to them what happens to workers. `start` begins one; `lease` is theirs, in ticks."""

    def __init__(
        self, start: Callable[..., Worker], database: Database, ledger: Ledger, *, seed: int, lease: int
    ) -> None:
        self._start = start
        self._database = database
        self._ledger = ledger
        self._random = Random(f"{seed}/nemesis")
        self._lease = lease
        self._settings: dict[str, object] = {}
        self.workers: list[Worker] = []
        self.faults: Counter[str] = Counter()

    async def start(self, workers: int = 2, **settings: object) -> None:
        """Start workers with these settings, and wait until they work."""
        self._settings = settings
        self.workers += [self._start(**settings) for _ in range(workers)]
        await until(lambda: len(self._at_work()) == len(self.workers), within=60)

    async def run(self, faults: Sequence[Fault], seconds: float) -> None:
        """Do each of these before one of them comes again, for so long; the last one is seen through."""
        ends = asyncio.get_running_loop().time() + seconds
        waiting: list[Fault] = []
        while asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(self._random.uniform(0.3, 1.2))
            waiting = waiting or self._random.sample(list(faults), len(faults))
            fault = waiting.pop()
            self._ledger.note("fault", what=fault.__name__)
            self.faults[fault.__name__] += 1
            await fault(self)

    async def kill_engines(self) -> None:
        """Kill the processes of a worker that run jobs."""
        worker = await self._busy()
        worker.signal(signal.SIGKILL, worker.engines())

    async def kill_a_job_process(self) -> None:
        """Kill one that an engine started for a plain function, where there is one."""
        started = [child for worker in self.workers for engine in worker.engines() for child in children(engine)]
        if started:
            self.workers[0].signal(signal.SIGKILL, [self._random.choice(started)])

    async def kill_a_worker(self) -> None:
        """Kill it with all its processes, and start another."""
        worker = await self._busy()
        self.workers.remove(worker)
        await asyncio.to_thread(worker.kill)
        self.workers.append(self._start(**self._settings))

    async def stop_a_worker(self) -> None:
        """Stop it past its lease; when it goes on, its engines do before the supervisor kills them."""
        await self._stop(await self._busy())

    async def end_sessions(self) -> None:
        """End half of all sessions, of workers, services and clients."""
        pids = [row["pid"] for row in await self._database.fetch(SESSIONS, patience=PATIENCE)]
        chosen = self._random.sample(pids, len(pids) // 2)
        end = "select pg_terminate_backend(pid) from unnest($1::integer[]) as pid"
        await self._database.fetch(end, chosen, patience=PATIENCE)

    async def hold_up_heartbeats(self) -> None:
        """Let no beat and no tick through for longer than the lease."""
        async with self._database.acquire(patience=PATIENCE) as connection, connection.transaction():
            await connection.execute("lock table esteira.worker in exclusive mode")
            await asyncio.sleep(self._lease + 1.5)

    async def _stop(self, worker: Worker) -> None:
        family = worker.family()
        worker.signal(signal.SIGSTOP, family)
        try:
            await asyncio.sleep(self._lease + self._random.uniform(1, 2))
            worker.signal(signal.SIGCONT, [pid for pid in family if pid != worker.pid])
            await asyncio.sleep(self._random.uniform(0, 0.5))
        finally:
            worker.signal(signal.SIGCONT, family)

    def _at_work(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.events("engine_started")]

    async def _busy(self) -> Worker:
        """Return a worker that runs jobs, once there is one; after a while without jobs, any."""
        for _ in range(100):
            rows = await self._database.fetch(BUSY, patience=PATIENCE)
            ids = {str(row["worker_id"]) for row in rows}
            busy = [worker for worker in self._at_work() if worker.events("worker_started")[-1]["worker_id"] in ids]
            if busy:
                return self._random.choice(busy)
            await asyncio.sleep(0.05)
        return self._random.choice(self._at_work() or self.workers)


Fault = Callable[[Nemesis], Awaitable[None]]
KILLS: tuple[Fault, ...] = (
    Nemesis.kill_engines,
    Nemesis.kill_a_job_process,
    Nemesis.kill_a_worker,
    Nemesis.end_sessions,
)
FAULTS: tuple[Fault, ...] = (*KILLS, Nemesis.stop_a_worker, Nemesis.hold_up_heartbeats)
