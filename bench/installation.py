"""A PostgreSQL with the schema in it, and workers on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from esteira.embedded import EmbeddedPostgres
from esteira_migrations import upgrade

SETTINGS = {"shared_buffers": "512MB", "max_connections": "200"}
ROOT = Path(__file__).parents[1]


@contextmanager
def installation() -> Iterator[str]:
    """Start a durable server (fsync on) and yield the address of a database with the schema."""
    folder = Path(tempfile.mkdtemp(prefix="esteira-bench-"))
    folder.chmod(0o755)  # as root the server runs under another account
    try:
        with EmbeddedPostgres(folder / "data", settings=SETTINGS) as server:
            upgrade(server.url())
            yield server.url()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def worker(url: str, *, slots: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker with one engine, in a process group of its own; it is stopped in good order unless it was killed."""
    environment = {
        **os.environ,
        "ESTEIRA_DATABASE_URL": url,
        "ESTEIRA_TASKS": "bench.tasks",
        "ESTEIRA_SLOTS": str(slots),
        "ESTEIRA_LOG_LEVEL": "critical",
        "ESTEIRA_DRAIN_SECONDS": "1",
    }
    command = [sys.executable, "-P", "-m", "esteira_worker"]
    with subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


async def enqueue_noops(connection: asyncpg.Connection[asyncpg.Record], count: int, delay_seconds: float = 0) -> None:
    """Enqueue no-op jobs, a thousand a call, all ready at the same moment."""
    run_at = await connection.fetchval("select esteira.now() + make_interval(secs => $1)", delay_seconds)
    for start in range(0, count, 1000):
        size = min(1000, count - start)
        await connection.fetchval(
            "select count(*) from esteira.enqueue_many(array_fill('bench.noop'::text, array[$1::int]),"
            " run_ats => array_fill($2::timestamptz, array[$1::int]))",
            size,
            run_at,
        )
