"""A server of the guards' own: it counts statements, and nothing happens in it that nobody asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from esteira.embedded import EmbeddedPostgres
from tests.hot_path.meter import Meter
from tests.postgres import INSTALL, SETTINGS, PostgresServer, memory, open_folder

# No vacuum, no checkpoint and no full pages: what they cost depends on when they come.
STILL = {
    **SETTINGS,
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "max_wal_size": "4GB",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
    "pg_stat_statements.max": "1000",
}


@pytest.fixture(scope="session")
def postgres_server(postgres_bin: Path) -> Iterator[PostgresServer]:
    with (
        open_folder(memory()) as folder,
        EmbeddedPostgres(folder / "data", durable=False, settings=STILL, bin_dir=postgres_bin) as server,
    ):
        yield PostgresServer(server.url(), postgres_bin)


@pytest.fixture(scope="session")
def template_database(postgres_server: PostgresServer, run_psql: Callable[..., str]) -> Iterator[str]:
    with postgres_server.database() as name:
        run_psql(postgres_server.url(name), "-c", "create extension pg_stat_statements")
        run_psql(postgres_server.url(name), "--single-transaction", "-f", INSTALL)
        yield name


@pytest.fixture
def meter(database_url: str) -> Iterator[Meter]:
    """What the test's database is made to do."""
    meter = Meter(database_url)
    yield meter
    meter.close()
