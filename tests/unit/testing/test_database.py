"""In processes of their own: servers and templates live until the process ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

PROGRAM = """
import psycopg
from esteira import App, testing

app = App("shop")

@app.task()
def double(number: int) -> int:
    return 2 * number

with testing.database() as url, testing.database() as another:
    with testing.SyncWorker(app, url) as worker:
        assert worker.run(double, {"number": 2}).result == 4
    with psycopg.connect(another) as connection:
        assert connection.execute("select count(*) from esteira.job").fetchone() == (0,)
try:
    psycopg.connect(url)
except psycopg.OperationalError as error:
    assert "does not exist" in str(error)
    print(url.rpartition("@")[2].partition("/")[0])
"""


def run(**environment: str) -> str:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ESTEIRA_")}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env={**bare, **environment}, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()[-1]


def test_databases_are_fresh_and_leave_nothing_on_a_server_of_ones_own(postgres_server: PostgresServer) -> None:
    assert run(ESTEIRA_TEST_DATABASE_URL=postgres_server.admin_url) in postgres_server.admin_url
    with psycopg.connect(postgres_server.admin_url) as connection:
        count = "select count(*) from pg_database where datname like 'esteira_testing%'"
        assert connection.execute(count).fetchone() == (0,)


def test_without_a_server_of_ones_own_an_embedded_one_runs_as_long_as_the_process(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    address = run(TMPDIR=str(tmp_path))
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(f"postgresql://postgres@{address}/postgres")
    assert list(tmp_path.iterdir()) == []
