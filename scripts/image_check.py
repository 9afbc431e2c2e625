"""Run what Dockerfile and docker-compose.yml would run, without a container engine.

Builds the wheel from what .dockerignore lets through, installs it into a fresh virtual environment, and runs the
image's own ENV, ENTRYPOINT and HEALTHCHECK with the commands of the compose file: migrate, serve and worker, each as
PID 1 of a namespace of its own where the system allows that. One job must complete over HTTP, and SIGTERM must end
service and worker. ESTEIRA_DATABASE_URL names a database for trying: its schema `esteira` is used as it is.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
# The image's user, seen from inside of the namespace.
USER = ["--user", "--map-user=10001", "--map-group=10001"]
UNSHARE = ["unshare", *USER, "--pid", "--fork", "--kill-child", "--mount-proc"]
TASKS = """
from esteira import App

app = App("image_check")

@app.task()
async def double(number: int) -> int:
    return 2 * number
"""


class CheckFailedError(Exception):
    """Say what did not behave as the image must."""


@dataclass(frozen=True)
class Image:
    """Hold what the last stage of the Dockerfile declares."""

    environment: dict[str, str]
    entrypoint: list[str]
    healthcheck: list[str]

    @classmethod
    def read(cls, dockerfile: Path) -> Image:
        """Parse the instructions used here: ENV, ENTRYPOINT and HEALTHCHECK."""
        last_stage = dockerfile.read_text().replace("\\\n", " ").rsplit("\nFROM ", 1)[1]
        declared = dict(line.split(" ", 1) for line in last_stage.splitlines() if line[:1].isupper() and " " in line)
        pairs = (pair.split("=", 1) for pair in shlex.split(declared["ENV"]))
        return cls(
            environment={name: value for name, value in pairs if name != "PATH"},
            entrypoint=json.loads(declared["ENTRYPOINT"]),
            healthcheck=json.loads(declared["HEALTHCHECK"].split(" CMD ", 1)[1]),
        )


@dataclass(frozen=True)
class Container:
    """Run the image's commands in an environment as bare as a container's."""

    image: Image
    scratch: Path
    environment: dict[str, str]
    namespaces: bool

    def run(self, *command: str) -> int:
        """Run a command to its end and return its exit status; a signal counts as a failure."""
        folder = self.scratch / "app"
        return subprocess.run(command, env=self.environment, cwd=folder, check=False, timeout=120).returncode

    def healthy(self) -> bool:
        """Ask as an engine does; why it says no, the process's own log tells better."""
        probe = self.image.healthcheck
        return subprocess.run(probe, env=self.environment, check=False, capture_output=True, timeout=10).returncode == 0

    @contextmanager
    def start(self, name: str, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a long-running command as PID 1; whatever happens, it is gone at the end."""
        isolation = UNSHARE if self.namespaces else []
        with (self.scratch / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*isolation, *self.image.entrypoint, *command],
                env={**self.environment, **environment},
                cwd=self.scratch / "app",
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def stop(self, name: str, process: subprocess.Popen[bytes], seconds: float) -> None:
        """Send SIGTERM as an engine does, and expect the process to end in time by itself."""
        target = process.pid
        if self.namespaces:
            target = int(Path(f"/proc/{target}/task/{target}/children").read_text().split()[0])
        os.kill(target, signal.SIGTERM)
        began = time.monotonic()
        try:
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise CheckFailedError(f"{name} did not end within {seconds:.0f} s of SIGTERM") from None
        if status not in {0, -signal.SIGTERM, 128 + signal.SIGTERM}:
            raise CheckFailedError(f"{name} ended with status {status} on SIGTERM")
        as_pid_1 = " as PID 1" if self.namespaces else ""
        report(f"{name}: ended{as_pid_1} {time.monotonic() - began:.1f} s after SIGTERM")


def report(line: str) -> None:
    """Print a finding at once."""
    print(line, flush=True)


def install(scratch: Path) -> Path:
    """Build and install as the Dockerfile's first stage does; return the folder of the programs."""
    context, wheels, venv = scratch / "context", scratch / "wheels", scratch / "venv"
    context.mkdir()
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            copy = shutil.copytree if (ROOT / line[1:]).is_dir() else shutil.copy
            copy(ROOT / line[1:], context / line[1:])
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    constraints = f"--constraint={context / 'constraints.txt'}"
    subprocess.run([*pip, "wheel", "--no-deps", f"--wheel-dir={wheels}", constraints, context], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    wheel = next(wheels.glob("esteira-*.whl"))
    python = venv / "bin" / "python"
    subprocess.run([*pip, f"--python={python}", "install", constraints, f"esteira[] @ file://{wheel}"], check=True)
    return venv / "bin"


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(true: Callable[[], bool], what: str, seconds: float) -> None:
    """Ask again and again, as an engine's healthcheck does, until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise CheckFailedError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def request(port: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send JSON to the service and return its JSON."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    call = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(call, timeout=60) as answer:
        return dict(json.load(answer))


def check(container: Container, commands: dict[str, list[str]]) -> None:
    """Migrate, serve, work, and stop."""
    port = container.environment["ESTEIRA_PORT"]
    if container.run(*container.image.entrypoint, *commands["migrate"]) != 0:
        raise CheckFailedError("migrate failed: see its message above")
    report("migrate: done")
    with container.start("service", *commands["service"]) as service:
        wait_until(container.healthy, "service: healthcheck passes", 30)
        report("service: the image's healthcheck passes")
        with container.start("worker", *commands["worker"], ESTEIRA_TASKS="image_check_tasks") as worker:
            work(port)
            container.stop("worker", worker, 45)
        container.stop("service", service, 30)
    if container.healthy():
        raise CheckFailedError("the healthcheck passes without a service")
    report("service: the healthcheck fails once it is stopped")


def work(port: str) -> None:
    """Have one job done over HTTP."""
    job = request(port, "/v1/jobs", {"task": "image_check.double", "payload": {"number": 21}})
    job = request(port, f"/v1/jobs/{job['id']}?wait=30")
    if (job["status"], job["result"]) != ("completed", 42):
        raise CheckFailedError(f"worker: the job did not complete: {job}")
    report("worker: a job posted over HTTP is completed")


def main() -> int:
    """Check all, and show the logs of what failed."""
    url = os.environ.get("ESTEIRA_DATABASE_URL")
    if not url:
        print("Set ESTEIRA_DATABASE_URL to a database for trying, and run this again.", file=sys.stderr)
        return 2
    namespaces = subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode == 0
    if not namespaces:
        report("This system lends no PID namespaces: the commands run, but not as PID 1.")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    image = Image.read(ROOT / "Dockerfile")
    with tempfile.TemporaryDirectory(prefix="esteira-image-") as folder:
        scratch = Path(folder)
        (scratch / "app").mkdir()
        (scratch / "app" / "image_check_tasks.py").write_text(TASKS)
        environment = {
            **image.environment,
            "PATH": f"{install(scratch)}:/usr/local/bin:/usr/bin:/bin",
            "HOME": folder,
            "ESTEIRA_DATABASE_URL": url,
            "ESTEIRA_HOST": "127.0.0.1",
            "ESTEIRA_PORT": str(free_port()),
        }
        commands = {name: compose["services"][name]["command"] for name in ("migrate", "service", "worker")}
        try:
            check(Container(image, scratch, environment, namespaces), commands)
        except CheckFailedError as failure:
            for log in scratch.glob("*.log"):
                print(f"--- {log.stem}\n{log.read_text()[-4000:]}", file=sys.stderr)
            print(f"image_check: {failure}", file=sys.stderr)
            return 1
    report("image_check: all true")
    return 0


if __name__ == "__main__":
    sys.exit(main())
