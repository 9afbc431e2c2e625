"""The server crashes: what was acknowledged is there, and where it is not the checker says so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from esteira import Client, SyncClient
from esteira.embedded import EmbeddedPostgres
from esteira.history import Ledger, check, start
from tests.postgres import INSTALL, SETTINGS, memory, open_folder
from tests.system.history.clients import Clients, Person
from tests.worker.processes import running_service

# So that nothing but a commit has WAL written.
QUIET = {**SETTINGS, "wal_writer_delay": "10s", "checkpoint_timeout": "1h"}
LOST = r"it was acknowledged \(line \d+ of the ledger\), and it is nowhere"


@pytest.fixture
def server(postgres_bin: Path) -> Iterator[EmbeddedPostgres]:
    """A server that may crash. The machine does not, so what was written is there even without fsync."""
    with open_folder(memory()) as folder:
        made = EmbeddedPostgres(folder / "data", durable=False, settings=QUIET, bin_dir=postgres_bin)
        with made:
            yield made


@pytest.mark.parametrize(("synchronous_commit", "broken"), [("on", {}), ("off", {"No loss": LOST})])
async def test_what_a_service_acknowledged_outlives_a_crash_if_it_waited_for_the_commit(
    server: EmbeddedPostgres,
    run_psql: Callable[..., str],
    tmp_path: Path,
    ledger: Ledger,
    synchronous_commit: str,
    broken: dict[str, str],
) -> None:
    url = server.url()
    run_psql(url, "--single-transaction", "-f", INSTALL)
    async with Client(url) as client:
        await start(client.database)
        await client.database.fetch(f"alter database postgres set synchronous_commit = {synchronous_commit}")
        with running_service(tmp_path, url) as service, closing(SyncClient(url)) as sync_client:
            clients = Clients(client, sync_client, ledger, service)
            for number in range(5):
                await Person(clients, f"client {number}", Random(number)).job_over_http()
            server.stop("immediate")
    server.start()
    async with Client(url) as client:
        report = await check(client.database, ledger=ledger.path)
    found = {violation.invariant: violation.sentence for violation in report.violations}
    assert found.keys() == broken.keys(), str(report)
    assert all(re.fullmatch(broken[name], sentence) for name, sentence in found.items()), str(report)
