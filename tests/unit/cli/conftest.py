"""The command line as a test types it, and a worker that does what it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from typer.testing import CliRunner

from esteira.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGISTER = "select esteira.register(%s, 'host', 42, '0', null, 1, 10, %s)"
CLAIM = """
select id from esteira.claim(
    %s, 0, 1, array['t'], array['default'], array[1::smallint],
    array['-infinity'::timestamptz], array['00000000-0000-0000-0000-000000000000'::uuid])
where id is not null
"""
DECLARED = {
    "name": "t", "version": 1, "queue": "default", "priority": "normal", "max_attempts": 3, "retry_first_seconds": 5,
    "retry_max_seconds": 3600, "timeout_seconds": 3600, "executor": "async", "steps": [], "payload_schema": {},
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Worker:
    """A worker of the task `t` on a session of its own: it calls the verbs that a test names."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.id = uuid4()
        self.connection.execute(REGISTER, (self.id, json.dumps([DECLARED])))

    def claim(self) -> UUID | None:
        """Claim one job, whatever it is."""
        row = self.connection.execute(CLAIM, (self.id,)).fetchone()
        return None if row is None else row[0]

    def running(self, payload: object = None) -> UUID:
        """Enqueue a job and claim it."""
        self.connection.execute("select esteira.enqueue('t', %s)", (json.dumps(payload or {}),))
        job = self.claim()
        assert job is not None
        return job

    def step(self, job: UUID, name: str, progress: float) -> None:
        self.connection.execute(
            "select esteira.save_step(%s, 1, %s, '1', esteira.now() - interval '2 s', %s::real)", (job, name, progress)
        )

    def progress(self, job: UUID, progress: float, message: str, step: str | None = None) -> None:
        self.connection.execute("select esteira.progress(%s, 1, %s::real, %s, %s)", (job, progress, message, step))

    def complete(self, job: UUID, result: object = None) -> None:
        self.connection.execute("select esteira.complete(%s, array[1], %s::jsonb[])", ([job], [json.dumps(result)]))

    def fail(self, job: UUID, message: str = "no", traceback: str = "Traceback", *, retryable: bool = False) -> None:
        error = json.dumps({"type": "ValueError", "message": message})
        self.connection.execute("select esteira.fail(%s, 1, %s, %s, %s)", (job, error, traceback, retryable))

    def cancel(self, job: UUID) -> None:
        """Cancel it as a person would, and stop as the worker of a running one does."""
        self.connection.execute("select esteira.cancel(%s)", (job,))
        self.connection.execute("select esteira.acknowledge_cancel(%s, 1)", (job,))

    def serve_one(self, settle: Callable[[UUID], None]) -> Thread:
        """Claim the next job that is announced, and settle it."""
        self.connection.execute("listen esteira")

        def work() -> None:
            assert list(self.connection.notifies(timeout=30, stop_after=1))
            job = self.claim()
            assert job is not None
            settle(job)

        thread = Thread(target=work)
        thread.start()
        return thread


@pytest.fixture
def esteira(database_url: str) -> Callable[..., Answer]:
    """Run a command on the test's database."""

    def run(*arguments: object, stdin: str | None = None, **environment: str | None) -> Answer:
        settings = {"ESTEIRA_DATABASE_URL": database_url, "COLUMNS": None, **environment}
        done = CliRunner(env=settings).invoke(app, [str(argument) for argument in arguments], input=stdin)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Answer(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def start_esteira(database_url: str) -> Callable[..., Any]:
    """Start a command in a process of its own, whose lines a test reads as they come."""

    @contextmanager
    def start(*arguments: object) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "esteira.cli", *map(str, arguments)],
            env={**os.environ, "ESTEIRA_DATABASE_URL": database_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    return start


@pytest.fixture
def worker(database_url: str) -> Iterator[Worker]:
    working = Worker(database_url)
    yield working
    working.connection.close()
