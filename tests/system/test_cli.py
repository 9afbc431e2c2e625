"""`esteira dev` as a person runs it: all processes, one command."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Psql = Callable[..., str]

ESTEIRA = [sys.executable, "-m", "esteira.cli"]
TASKS = """
import asyncio
from esteira import App

app = App("tiny")

@app.task()
async def double(number: int) -> int:
    return 2 * number

@app.task()
async def dawdle() -> None:
    await asyncio.sleep(600)
"""

on_linux = pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux has descriptors of processes, and tells children of their parent's death",
)


@dataclass
class Dev:
    """A running `esteira dev`."""

    process: subprocess.Popen[str]
    addresses: dict[str, Any]

    def ends(self) -> tuple[int, str]:
        """Wait until it has ended; return its exit code, and what it said and nobody has read yet."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def says(self, word: str) -> None:
        """Wait for a line of its log with this word."""
        assert self.process.stderr is not None
        said = []
        while line := self.process.stderr.readline():
            said.append(line)
            if word in line:
                return
        pytest.fail("".join(said))

    def descendants(self) -> dict[int, str]:
        """Return the command lines of all processes under it, by process id."""
        listed = subprocess.run(["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        lines = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
        family = {self.process.pid}
        while more := {int(pid) for pid, parent, *_ in lines if int(parent) in family} - family:
            family |= more
        return {int(line[0]): line[2] for line in lines if int(line[0]) in family - {self.process.pid}}

    def child(self, word: str) -> int:
        """Return the process id of the child in whose command line this stands."""
        [pid] = [pid for pid, command in self.descendants().items() if word in f"{command} " and ": " not in command]
        return pid

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command on its database, from another folder."""
        environment = {**os.environ, "ESTEIRA_DATABASE_URL": self.addresses["database_url"]}
        return subprocess.run([*ESTEIRA, *arguments], env=environment, capture_output=True, text=True, check=False)


@contextmanager
def reading(running: Dev, *arguments: str) -> Iterator[Iterator[str]]:
    """Start another command on its database and give its lines as they come."""
    environment = {**os.environ, "ESTEIRA_DATABASE_URL": running.addresses["database_url"]}
    with subprocess.Popen([*ESTEIRA, *arguments], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout
        process.kill()


@pytest.fixture
def folder(reachable_folder: Path) -> Path:
    (reachable_folder / "tiny_tasks.py").write_text(TASKS)
    return reachable_folder


@contextmanager
def dev(folder: Path, *options: str, **environment: str) -> Iterator[Dev]:
    """Run `esteira dev` in a folder; whatever happens, it is gone at the end."""
    inherited = {name: value for name, value in os.environ.items() if name != "ESTEIRA_DATABASE_URL"}
    command = [*ESTEIRA, "dev", "--json", "--port", str(free_port()), *options]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, env={**inherited, **environment}, text=True, **pipes) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield Dev(process, json.loads(line))
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def watch(pids: dict[int, str]) -> dict[int, str]:
    """Return file descriptors that become readable when the processes end."""
    return {os.pidfd_open(pid): command for pid, command in pids.items()}


def left(watched: dict[int, str], seconds: float = 30) -> list[str]:
    """Wait until all of them have ended; return the command lines of those that have not."""
    remaining = dict(watched)
    while remaining:
        ended, _, _ = select.select(list(remaining), [], [], seconds)
        if not ended:
            break
        for descriptor in ended:
            remaining.pop(descriptor)
    for descriptor in watched:
        os.close(descriptor)
    return list(remaining.values())


@on_linux
def test_dev_runs_a_task_keeps_its_data_and_leaves_no_process_behind(folder: Path) -> None:
    with dev(folder, "--tasks", "tiny_tasks") as running:
        with urllib.request.urlopen(f"{running.addresses['url']}/readyz", timeout=10) as answer:
            assert answer.status == 200
        done = running.run("enqueue", "tiny.double", '{"number": 21}', "--wait")
        assert done.returncode == 0, done.stderr
        job, result = done.stdout.split()
        assert result == "42"
        processes = running.descendants()
        assert len(processes) > 3, processes
        watched = watch(processes)
        running.process.send_signal(signal.SIGTERM)
        code, said = running.ends()
        assert code == 0, said
        assert left(watched, seconds=5) == []
        in_order = ["esteira: stopping", "worker_stopped", "service_stopping", "esteira: everything is stopped"]
        assert [word for line in said.splitlines() for word in in_order if word in line] == in_order
    with dev(folder) as again:
        assert again.addresses["database_url"] == running.addresses["database_url"]
        assert json.loads(again.run("status", job, "--json").stdout)["result"] == 42


@on_linux
@pytest.mark.parametrize(
    ("victim", "said"),
    [
        (" serve ", "`esteira serve` ended with exit code -9"),
        (" worker ", "`esteira worker` ended with exit code -9"),
        ("/postgres -D ", "PostgreSQL ended"),
    ],
)
def test_when_one_process_ends_dev_says_which_and_stops_the_others(folder: Path, victim: str, said: str) -> None:
    with dev(folder, "--tasks", "tiny_tasks") as running:
        watched = watch(running.descendants())
        os.kill(running.child(victim), signal.SIGKILL)
        code, log = running.ends()
        assert code == 7, log
        assert left(watched) == []
        assert said in log


@on_linux
def test_a_killed_dev_takes_its_processes_with_it(folder: Path) -> None:
    with dev(folder, "--tasks", "tiny_tasks") as running:
        watched = watch(running.descendants())
        running.process.kill()
        assert left(watched, seconds=60) == []


def test_a_second_interrupt_gives_running_jobs_back_without_waiting_for_them(folder: Path) -> None:
    with dev(folder, "--tasks", "tiny_tasks") as running:
        job = running.run("enqueue", "tiny.dawdle").stdout.strip()
        with reading(running, "status", job, "--watch", "--json") as changes:
            assert any(json.loads(line)["status"] == "running" for line in changes)
        running.process.send_signal(signal.SIGINT)
        running.says("engine_draining")
        running.process.send_signal(signal.SIGINT)
        code, said = running.ends()
        assert code == 0, said
        assert '"jobs_returned": 1' in said, said


def test_dev_uses_the_database_that_it_is_given(folder: Path, empty_database_url: str, psql: Psql) -> None:
    with dev(folder, ESTEIRA_DATABASE_URL=empty_database_url) as running:
        running.run("enqueue", "tiny.double")
        assert psql("select task from esteira.jobs", url=empty_database_url) == "tiny.double"
        assert not any("postgres -D" in command for command in running.descendants().values())
        running.process.send_signal(signal.SIGINT)
        assert running.ends()[0] == 0
    assert not (folder / ".esteira").exists()


def test_a_worker_has_registered_before_dev_says_that_all_is_up(folder: Path) -> None:
    with dev(folder, "--tasks", "tiny_tasks") as running:
        [worker] = json.loads(running.run("workers", "--json").stdout)
        assert (worker["state"], worker["tasks"]) == ("alive", ["tiny.dawdle", "tiny.double"])


def test_a_task_module_that_is_missing_stops_dev_and_is_named(folder: Path) -> None:
    command = [*ESTEIRA, "dev", "--port", str(free_port()), "--tasks", "no_such_module"]
    environment = {name: value for name, value in os.environ.items() if name != "ESTEIRA_DATABASE_URL"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "")
    assert 'no module "no_such_module"' in done.stderr
    assert "`esteira worker` ended with exit code 2" in done.stderr
