"""A server of a test's own that may crash, proxies before it, and everybody who works there.

CHAOS_SECONDS makes it longer, with the real lease; CHAOS_SEED another: `make chaos SECONDS=600 SEED=7`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from esteira import Client, SyncClient
from esteira.database import Database
from esteira.embedded import EmbeddedPostgres
from esteira.history import Ledger, start
from tests.postgres import INSTALL, SETTINGS, memory, open_folder
from tests.proxy import running_proxy
from tests.system.chaos.chaos import Chaos, Network
from tests.system.history import history_tasks
from tests.system.history.clients import Clients
from tests.worker.processes import running_service, running_worker

SECONDS = float(os.environ.get("CHAOS_SECONDS", "0"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
# A beat that hangs while the server comes back is over after three seconds.
LEASE = 6 if SECONDS else 4
WORKERS = 2
OpenChaos = Callable[[str], AbstractAsyncContextManager[Chaos]]


@pytest.fixture
def server(postgres_bin: Path, run_psql: Callable[..., str]) -> Iterator[EmbeddedPostgres]:
    """A server with the schema in it. The machine does not crash, so what was written is there even without fsync."""
    settings = {**SETTINGS, "max_connections": "100"}
    with open_folder(memory()) as folder:
        made = EmbeddedPostgres(folder / "data", durable=False, settings=settings, bin_dir=postgres_bin)
        with made:
            run_psql(made.url(), "--single-transaction", "-f", INSTALL)
            yield made


@pytest.fixture
def open_chaos(server: EmbeddedPostgres, tmp_path: Path) -> OpenChaos:
    """Open a queue on that server, reached by everybody but the test itself at this address, through proxies."""
    shutil.copy(history_tasks.__file__, tmp_path)

    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Chaos]:
        # Whoever waits for an answer must not take the threads of whoever brings the server back.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
        ledger = Ledger(tmp_path / "ledger")
        database = Database(server.url(), session_name="test")
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            await database.fetch(history_tasks.TABLE)
            await start(database)
            proxies = [await stack.enter_async_context(running_proxy(url)) for _ in range(WORKERS + 2)]
            network = Network(proxies[:WORKERS], *proxies[WORKERS:])
            programs = stack.enter_context(ExitStack())

            def start_service() -> object:
                return programs.enter_context(running_service(tmp_path, network.service.url))

            def start_worker(*, database_url: str, **settings: object) -> object:
                given = {"modules": "history_tasks", "lease_ticks": LEASE, "slots": 8, **settings}
                return programs.enter_context(running_worker(tmp_path, database_url, **given))

            client = await stack.enter_async_context(Client(network.clients.url))
            sync_client = stack.enter_context(closing(SyncClient(network.clients.url)))
            clients = Clients(client, sync_client, ledger, start_service())
            make = partial(Chaos, start_worker, start_service, server, network, database, clients, ledger)
            yield make(seed=SEED, lease=LEASE)

    return opened
