"""What idle processes hold in memory: service, supervisor, engine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from bench.installation import ROOT, worker
from bench.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTLE_SECONDS = 5.0
_CONNECTED = "select exists (select from pg_stat_activity where application_name = 'esteira-service')"


async def memory(url: str) -> None:
    """Print each process's resident set, and the part of it that it shares with no other, in MB."""
    connection = await asyncpg.connect(url)
    with worker(url, slots=10) as supervisor, _service(url) as service:
        await until(connection, "select exists (select from esteira.worker where beats > 2)")
        await until(
            connection, "select exists (select from pg_stat_activity where application_name = 'esteira-service')"
        )
        await asyncio.sleep(SETTLE_SECONDS)
        (engine,) = _children(supervisor.pid)
        print("memory of idle processes, resident / private, MB")
        for name, pid in (("service", service.pid), ("supervisor", supervisor.pid), ("engine", engine)):
            print(f"  {name:<11} {_megabytes(pid, 'Rss'):.0f} / {_megabytes(pid, 'Private_Dirty'):.0f}")
    await connection.close()


@contextmanager
def _service(url: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "ESTEIRA_DATABASE_URL": url, "ESTEIRA_PORT": "0", "ESTEIRA_LOG_LEVEL": "critical"}
    command = [sys.executable, "-P", "-m", "esteira_service"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.terminate()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _megabytes(pid: int, kind: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024
