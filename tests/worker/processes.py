"""Real workers and services for tests: started as people start them, watched from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
from psycopg.rows import dict_row

T = TypeVar("T")
P = TypeVar("P", bound="Program")
MODULE = "ledger_tasks"


def eventually(condition: Callable[[], T], within: float = 30.0) -> T:
    """Return the condition's first true value; fail where there is none in time (seconds)."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s, but {value!r}"
        time.sleep(0.01)
    return value


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still live."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def is_alive(pid: int) -> bool:
    """Tell whether a process runs, or is stopped; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Jobs:
    """A database's jobs, as an outsider enqueues and sees them."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def close(self) -> None:
        self._connection.close()

    def sql(self, query: str, *args: object) -> list[dict[str, Any]]:
        cursor = self._connection.execute(query.encode(), args)
        return cursor.fetchall() if cursor.description else []

    def enqueue(self, task: str, payload: object = None, **options: object) -> str:
        """Enqueue a job and return its id; options as esteira.enqueue takes them."""
        names = "".join(f", {name} => %s" for name in options)
        query = f"select esteira.enqueue(%s, %s::jsonb{names})::text as id"
        return str(self.sql(query, task, json.dumps(payload or {}), *options.values())[0]["id"])

    def enqueue_many(self, task: str, payloads: Sequence[object]) -> list[str]:
        """Enqueue jobs of one task in one transaction, and wake the workers."""
        texts = [json.dumps(payload) for payload in payloads]
        query = "select id::text, queue from esteira.enqueue_many(array_fill(%s::text, array[%s]), %s::jsonb[])"
        rows = self.sql(query, task, len(texts), texts)
        self.sql("select esteira.notify_workers(%s)", sorted({row["queue"] for row in rows}))
        return [row["id"] for row in rows]

    def get(self, job_id: str) -> dict[str, Any]:
        return self.sql("select * from esteira.jobs where id = %s", job_id)[0]

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        return self.sql("select * from esteira.attempt where job_id = %s order by attempt", job_id)

    def is_running(self, job_id: str) -> bool:
        return bool(self.get(job_id)["status"] == "running")

    def ended(self, job_id: str, within: float = 30.0) -> dict[str, Any]:
        """Wait for a job's end and return it."""
        return eventually(lambda: (job := self.get(job_id))["finished_at"] and job, within)

    def live(self) -> int:
        return int(self.sql("select count(*) as live from esteira.job_live")[0]["live"])

    def workers(self) -> list[dict[str, Any]]:
        return self.sql("select * from esteira.worker order by started_at")


class Program:
    """A running program: its process, and what it has logged."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    def output(self) -> str:
        return self._log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what it logged under this name."""
        lines = [line for line in self.output().splitlines() if line.startswith("{") and line.endswith("}")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def family(self) -> list[int]:
        """Return all its processes, itself first."""
        started = children(self.pid)
        return [self.pid, *started, *(child for pid in started for child in children(pid))]

    def signal(self, number: signal.Signals, pids: Sequence[int] = ()) -> None:
        for pid in pids or [self.pid]:
            if is_alive(pid):
                os.kill(pid, number)

    def wait(self, within: float = 30.0) -> int:
        return self._process.wait(within)

    def gave_up(self) -> bool:
        """Tell whether it ended by itself with a sentence; fail where it ended otherwise. Killed is not by itself."""
        if self._process.poll() in (None, -signal.SIGKILL):
            return False
        # What its engines had to say may come after it.
        assert any(line.startswith("esteira: ") for line in self.output().splitlines()), self.output()
        return True

    def kill(self) -> None:
        self.signal(signal.SIGKILL, self.family())
        self._process.wait()


class Worker(Program):
    """A running worker: the supervisor's process."""

    def engines(self) -> list[int]:
        return children(self.pid)


class Service(Program):
    """A running service, and somebody who talks to it."""

    @cached_property
    def http(self) -> httpx.Client:
        eventually(lambda: self.events("service_started") or self._process.poll() is not None, within=60)
        if not self.events("service_started"):
            raise httpx.ConnectError(f"it ended before it listened: {self.output()}")
        (started,) = self.events("service_started")
        return httpx.Client(base_url=started["url"], timeout=30)

    def post(self, task: str, payload: object) -> str:
        """Enqueue a job and return its id."""
        answer = self.http.post("/v1/jobs", json={"task": task, "payload": payload})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def ended(self, job_id: str) -> dict[str, Any]:
        """Wait for a job's end, over HTTP, and return it."""
        answer = self.http.get(f"/v1/jobs/{job_id}", params={"wait": 20})
        job: dict[str, Any] = answer.json()
        assert job.get("finished_at"), answer.text
        return job

    def kill(self) -> None:
        if "http" in vars(self):
            self.http.close()
        super().kill()


@contextmanager
def running_worker(
    folder: Path, url: str, *, modules: str = MODULE, through: Sequence[str] = (), **settings: object
) -> Iterator[Worker]:
    """Start a worker in the folder that holds its modules; it is killed afterwards, whatever became of it.

    through: a command that is to start it.
    """
    settings = {"database_url": url, "tasks": modules, **settings}
    with _running(Worker, "esteira_worker", folder, through, **settings) as worker:
        yield worker


@contextmanager
def running_service(folder: Path, url: str, **settings: object) -> Iterator[Service]:
    """Start a service on a free port; it is killed afterwards."""
    settings = {"database_url": url, "port": 0, **settings}
    with _running(Service, "esteira_service", folder, **settings) as service:
        yield service


@contextmanager
def _running(kind: type[P], module: str, folder: Path, through: Sequence[str] = (), **settings: object) -> Iterator[P]:
    log = folder / f"{module}-{time.monotonic_ns()}.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ESTEIRA_")},
        "ESTEIRA_LOG_FORMAT": "json",
        "LEDGER": str(folder / "ledger"),
        **{f"ESTEIRA_{name.upper()}": str(value) for name, value in settings.items()},
    }
    with log.open("wb") as output:
        command = [*through, sys.executable, "-P", "-m", module]
        streams = {"stdout": output, "stderr": output}
        program = kind(subprocess.Popen(command, cwd=folder, env=environment, process_group=0, **streams), log)
    try:
        yield program
    finally:
        program.kill()
