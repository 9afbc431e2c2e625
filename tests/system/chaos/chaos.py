"""The nemesis of histories, with a server, a network and a service in its hands too."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from uuid import UUID

import asyncpg

from esteira.database import Database
from esteira.embedded import EmbeddedPostgres
from esteira.errors import DatabaseUnavailable
from esteira.history import Ledger
from tests.proxy import Proxy
from tests.system.chaos.recovery import Recovery
from tests.system.history.clients import Clients
from tests.system.history.nemesis import Nemesis
from tests.worker.conftest import until
from tests.worker.processes import Service, Worker, is_alive

SETTLES = b"esteira.complete("
_LOST = "select distinct worker_id from esteira_history.worker where lost_at is not null and worker_id <> all($1)"


class Network:
    """A proxy for each process: one each for workers that live at the same time, the service, and all clients."""

    def __init__(self, workers: list[Proxy], service: Proxy, clients: Proxy) -> None:
        self.workers, self.service, self.clients = workers, service, clients
        self._taken: dict[int, Proxy] = {}

    @property
    def everywhere(self) -> list[Proxy]:
        return [*self.workers, self.service, self.clients]

    def of(self, worker: Worker) -> Proxy:
        """Return a worker's way to the database."""
        return self._taken[worker.pid]

    def start(self, start_worker: Callable[..., Worker], **settings: object) -> Worker:
        """Start a worker on a way that no living one has."""
        taken = [proxy for pid, proxy in self._taken.items() if is_alive(pid)]
        proxy = next(proxy for proxy in self.workers if proxy not in taken)
        worker = start_worker(database_url=proxy.url, **settings)
        self._taken[worker.pid] = proxy
        return worker


class Chaos(Nemesis):
    """Break everything there is. guilty: the workers that had it coming to be given up."""

    def __init__(
        self,
        start_worker: Callable[..., Worker],
        start_service: Callable[[], Service],
        server: EmbeddedPostgres,
        network: Network,
        database: Database,
        clients: Clients,
        ledger: Ledger,
        *,
        seed: int,
        lease: int,
    ) -> None:
        super().__init__(partial(network.start, start_worker), database, ledger, seed=seed, lease=lease)
        self._start_service = start_service
        self._server = server
        self._network = network
        self.clients = clients
        self.recovery = Recovery(database)
        self.database = database
        self.guilty: set[UUID] = set()

    @asynccontextmanager
    async def managed(self) -> AsyncIterator[None]:
        """Start again whoever gave up because there was no database when it started, as process managers do."""

        async def manage() -> None:
            while True:
                self.workers = [self._start(**self._settings) if it.gave_up() else it for it in self.workers]
                if self.clients.service is not None and self.clients.service.gave_up():
                    self.clients.service = self._start_service()
                await asyncio.sleep(0.5)

        # Whoever ended in another way ends the test.
        async with asyncio.TaskGroup() as group:
            managing = group.create_task(manage())
            yield
            managing.cancel()

    async def given_up(self) -> list[UUID]:
        """Return the workers that were given up for no reason."""
        rows = await self._database.fetch(_LOST, list(self.guilty), patience=30)
        return [row["worker_id"] for row in rows]

    async def kill_engines(self) -> None:
        """Kill the processes of a worker that run jobs, and see their jobs returned."""
        worker = await self._busy()
        await self._measured("engines killed", worker, lambda: worker.signal(signal.SIGKILL, worker.engines()))

    async def kill_a_worker(self) -> None:
        """Kill it with all its processes, see its jobs returned, and start another."""
        worker = await self._culprit()
        self.workers.remove(worker)
        await self._measured("worker killed", worker, worker.kill)
        self.workers.append(self._start(**self._settings))

    async def kill_a_supervisor(self) -> None:
        """Kill the process that beats; its engines have to notice."""
        worker = await self._culprit()
        self.workers.remove(worker)
        await self._measured("supervisor killed", worker, lambda: worker.signal(signal.SIGKILL))
        worker.wait()
        self.workers.append(self._start(**self._settings))

    async def stop_a_worker(self) -> None:
        """Stop it past its lease."""
        await self._stop(await self._culprit())

    async def stop_a_supervisor(self) -> None:
        """Stop the process that beats past its lease; its engines work on, as zombies."""
        worker = await self._culprit()
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(self._lease + self._random.uniform(1, 2))
        worker.signal(signal.SIGCONT)

    async def blackhole_a_worker(self) -> None:
        """Let nothing of it through, without telling either side, until its jobs are returned."""
        worker = await self._culprit()
        proxy = self._network.of(worker)
        await self._measured("network blackhole", worker, proxy.blackhole)
        await asyncio.sleep(self._random.uniform(0, 2))
        proxy.heal()

    async def reset_the_network(self) -> None:
        """Reset every connection."""
        for proxy in self._network.everywhere:
            proxy.reset()

    async def delay_the_network(self) -> None:
        """Hold up what a worker says and hears."""
        proxy = self._random.choice(self._network.workers)
        proxy.delay = self._random.uniform(0.02, 0.2)
        await asyncio.sleep(self._random.uniform(1, 3))
        proxy.heal()

    async def lose_settle_replies(self) -> None:
        """Let no worker hear that what it completed is stored."""
        for proxy in self._network.workers:
            proxy.lost_replies = SETTLES
        await asyncio.sleep(self._random.uniform(1, 3))
        for proxy in self._network.workers:
            proxy.heal()

    async def crash_the_server(self) -> None:
        """Stop it as a crash does, and start it some time later."""
        await self._restart("immediate")

    async def restart_the_server(self) -> None:
        """Restart it as people do."""
        await self._restart("fast")

    async def exhaust_connections(self) -> None:
        """Take all connections that are left, for a while."""
        async with AsyncExitStack() as stack, self._database.acquire(patience=30) as ours:
            while True:
                try:
                    connection = await asyncpg.connect(self._server.url())
                except asyncpg.TooManyConnectionsError:
                    break
                stack.callback(connection.terminate)
            await ours.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name ~ '^esteira/'"
            )
            await asyncio.sleep(self._random.uniform(1, 2))

    async def kill_the_service(self) -> None:
        """Kill it, and start another."""
        assert self.clients.service is not None
        self.clients.service.signal(signal.SIGKILL)
        self.clients.service.wait()
        self.clients.service = self._start_service()

    async def stop_the_service(self) -> None:
        """Stop it for a while."""
        service = self.clients.service
        assert service is not None
        service.signal(signal.SIGSTOP)
        await asyncio.sleep(self._random.uniform(0.5, 2))
        service.signal(signal.SIGCONT)

    async def hold_the_gil(self) -> None:
        """Have an engine stand still for longer than the lease."""
        with suppress(DatabaseUnavailable), self._ledger.request() as request:
            seconds = {"seconds": self._lease + 1.5}
            job = await self.clients.client.enqueue("h.hold_the_gil", seconds, metadata=request.metadata)
            request.acknowledged(job.id)

    async def _restart(self, how: str) -> None:
        await asyncio.to_thread(self._server.stop, how)
        await asyncio.sleep(self._random.uniform(0, 2))
        await asyncio.to_thread(self._server.start)

    async def _culprit(self) -> Worker:
        """Return one that may be given up for what comes."""
        worker = await self._busy()
        self.guilty.add(await _id(worker))
        return worker

    async def _measured(self, what: str, worker: Worker, fault: Callable[[], None]) -> None:
        try:
            await self.recovery.after(what, await _id(worker), partial(asyncio.to_thread, fault))
        except AssertionError:
            for each in self.workers:
                print(f"\nworker {each.pid}, alive: {is_alive(each.pid)}\n{each.output()[-1500:]}")  # noqa: T201
            raise


async def _id(worker: Worker) -> UUID:
    """Return the name of its present life."""
    await until(lambda: worker.events("worker_started"), within=60)
    return UUID(worker.events("worker_started")[-1]["worker_id"])


EVERYTHING = (
    Chaos.kill_engines,
    Chaos.kill_a_job_process,
    Chaos.kill_a_worker,
    Chaos.kill_a_supervisor,
    Chaos.stop_a_worker,
    Chaos.stop_a_supervisor,
    Chaos.end_sessions,
    Chaos.hold_up_heartbeats,
    Chaos.hold_the_gil,
    Chaos.blackhole_a_worker,
    Chaos.reset_the_network,
    Chaos.delay_the_network,
    Chaos.lose_settle_replies,
    Chaos.crash_the_server,
    Chaos.restart_the_server,
    Chaos.exhaust_connections,
    Chaos.kill_the_service,
    Chaos.stop_the_service,
)
