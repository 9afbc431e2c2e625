"""`make demo`: a real video through the six steps, live, with an engine killed in the middle.

DEMO_ONCE=1 ends it by itself, with exit code 0 only if all that it shows was true.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn

from .clips import clip
from .tasks import STEPS

CLIP = "bigbuckbunny.mp4"
DATA = Path(os.environ.get("DEMO_DATA", ".esteira-demo")).resolve()
KILL_AFTER = "prnu"
PATIENCE_SECONDS = 180.0
console = Console(highlight=False)


class Untrue(Exception):
    """Say what did not happen as the demo tells it."""


def main() -> int:
    """Run the demo; returns the exit code."""
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    once = os.environ.get("DEMO_ONCE", "") not in ("", "0")
    try:
        with (
            _esteira() as esteira,
            _example(esteira) as address,
            httpx.Client(base_url=address, timeout=30, trust_env=False) as http,
        ):
            _welcome(esteira, address, started)
            analysis = _upload(http)
            steps = _watch(http, esteira, analysis["id"], started)
            _verify(http, esteira, analysis["id"], steps)
            _show_report(http, analysis["id"])
            if not once:
                _show_where_to_look(esteira, address, analysis)
                console.print("\nEverything goes on running. Ctrl-C ends it.")
                signal.pause()
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 0
    except Untrue as untrue:
        console.print(f"[bold red]Not as it should be:[/] {untrue}")
        return 1
    return 0


@contextlib.contextmanager
def _esteira() -> Iterator[dict[str, Any]]:
    """Start PostgreSQL, migrations, service and worker, and yield their addresses."""
    command = [
        sys.executable, "-m", "esteira.cli", "dev", "--json", "--port", str(_free_port()), "--data", str(DATA),
        "--tasks", "video_forensics.tasks",
    ]  # fmt: skip
    DATA.mkdir(parents=True, exist_ok=True)
    log = DATA / "esteira.log"
    environment = {**os.environ, "ESTEIRA_DRAIN_SECONDS": "2", "PYTHONPATH": str(Path(__file__).parents[1])}
    console.print("Starting PostgreSQL, the schema, the service and a worker …")
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            summary = process.stdout.readline()
            if not summary:
                raise Untrue(f"Esteira did not start:\n{log.read_text()[-2000:]}")
            yield {**json.loads(summary), "pid": process.pid, "log": str(log)}
        finally:
            process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def _example(esteira: dict[str, Any]) -> Iterator[str]:
    """Start the example's own API, and yield its address."""
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "video_forensics.app:api",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    environment = {
        **os.environ,
        "ESTEIRA_DATABASE_URL": esteira["database_url"],
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    with subprocess.Popen(command, env=environment) as process:
        try:
            _wait_for_port(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _upload(http: httpx.Client) -> dict[str, Any]:
    video = clip(CLIP)
    began = time.monotonic()
    with video.open("rb") as file:
        answer = http.post("/api/v1/analysis", files={"file": (video.name, file, "video/mp4")})
    answer.raise_for_status()
    analysis: dict[str, Any] = answer.json()
    console.print(
        f"Uploaded {video.name} ({video.stat().st_size / 1024:.0f} KiB): HTTP {answer.status_code} after "
        f"{(time.monotonic() - began) * 1000:.0f} ms; analysis {analysis['id']} is {analysis['status']}.\n"
    )
    return analysis


def _watch(http: httpx.Client, esteira: dict[str, Any], analysis_id: str, started: float) -> dict[str, int]:
    """Show the progress until the end, and kill the engine once.

    Returns the steps that were finished before that, with their attempts.
    """
    before: dict[str, int] = {}
    shown: list[str] = []
    first_progress = 0.0
    deadline = time.monotonic() + PATIENCE_SECONDS
    with Progress(*_columns(), console=console) as bar:
        line = bar.add_task("pending", total=100, note="")
        while time.monotonic() < deadline:
            analysis = http.get(f"/api/v1/analysis/{analysis_id}").json()
            first_progress = first_progress or (time.monotonic() - started if analysis["progress"] else 0.0)
            finished = [step["name"] for step in analysis["steps"] if step["status"] == "completed"]
            for name in finished[len(shown) :]:
                bar.console.print(f"  {name} is finished")
            shown = finished
            bar.update(
                line, completed=analysis["progress"], description=_doing(analysis), note=analysis["message"] or ""
            )
            if not before and KILL_AFTER in finished and analysis["status"] == "processing":
                before = _kill_engine(esteira, analysis["job_id"])
                bar.console.print(f"[bold]kill -9 of the engine process, after {', '.join(before)}[/]")
            if analysis["status"] in ("completed", "failed", "cancelled"):
                break
            time.sleep(0.1)
    if analysis["status"] != "completed":
        raise Untrue(f"the analysis is {analysis['status']}: {analysis['error'] or analysis['explanation']}")
    total = time.monotonic() - started
    console.print(f"\nFirst progress {first_progress:.1f} s, the end {total:.1f} s after the start of this command.")
    return before


def _columns() -> tuple[ProgressColumn, ...]:
    percentage = TextColumn("{task.percentage:>3.0f} %")
    return TextColumn("{task.description:<20}"), BarColumn(24), percentage, TextColumn("{task.fields[note]}")


def _doing(analysis: dict[str, Any]) -> str:
    current = (step["name"] for step in analysis["steps"] if step["status"] == "processing")
    return str(next(current, analysis["status"]))


def _kill_engine(esteira: dict[str, Any], job_id: str) -> dict[str, int]:
    for process in psutil.Process(esteira["pid"]).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a step's child may end while we look
            if "esteira_worker.engine" in process.cmdline():
                process.kill()
    return {step["name"]: step["attempt"] for step in _steps(esteira, job_id)}


def _verify(http: httpx.Client, esteira: dict[str, Any], analysis_id: str, before: dict[str, int]) -> None:
    """Hold what the database says against what the demo tells."""
    analysis = http.get(f"/api/v1/analysis/{analysis_id}").json()
    job = _service(esteira, f"/v1/jobs/{analysis['job_id']}")
    steps = {step["name"]: step["attempt"] for step in _steps(esteira, analysis["job_id"])}
    if not before:
        raise Untrue("the engine was not killed: the pipeline was over too soon")
    if job["crashes"] != 1 or job["attempt"] < 2 or job["failures"] != 0:
        counts = {name: job[name] for name in ("attempt", "crashes", "failures")}
        raise Untrue(f"one crash was to be recorded, and no failure: {counts}")
    if list(steps) != list(STEPS):
        raise Untrue(f"six steps were to finish in order: {list(steps)}")
    again = [name for name, attempt in before.items() if steps[name] != attempt]
    if again:
        raise Untrue(f"finished steps ran again: {', '.join(again)}")
    kept = ", ".join(before)
    rest = ", ".join(name for name in steps if name not in before)
    console.print(
        f"Attempt 1 finished {kept}; its engine was killed; attempt {job['attempt']} read those and ran only {rest}.\n"
    )


def _show_report(http: httpx.Client, analysis_id: str) -> None:
    analysis = http.get(f"/api/v1/analysis/{analysis_id}").json()
    report, size = analysis["report"], len(http.get(f"/api/v1/analysis/{analysis_id}/video").content)
    if size != report["cleaning"]["bytes"]:
        raise Untrue(f"the clean video has {size} bytes, the report says {report['cleaning']['bytes']}")
    console.print("[bold]Report[/]")
    for sentence in report["summary"]:
        console.print(f"  {sentence}")
    removed = report["cleaning"]["removed"]
    console.print(f"  The clean video has {size:,} bytes and {len(removed['tags'])} tags less.")


def _show_where_to_look(esteira: dict[str, Any], address: str, analysis: dict[str, Any]) -> None:
    console.print("\n[bold]Look further[/]")
    for what, where in (
        ("report", f"{address}/api/v1/analysis/{analysis['id']}"),
        ("clean video", f"{address}/api/v1/analysis/{analysis['id']}/video"),
        ("the job", f"{esteira['url']}/v1/jobs/{analysis['job_id']}"),
        ("its steps", f"{esteira['url']}/v1/jobs/{analysis['job_id']}/steps"),
        ("Esteira's API", f"{esteira['url']}/docs"),
        ("psql", f"{esteira['psql']} -c 'select id, task, status, attempt, crashes, run_time from esteira.jobs'"),
        ("logs", esteira["log"]),
    ):
        console.print(f"  {what:<14}{where}", soft_wrap=True)


def _welcome(esteira: dict[str, Any], address: str, started: float) -> None:
    console.print(
        f"All is up after {time.monotonic() - started:.1f} s: Esteira at {esteira['url']}, the example at {address}."
    )


def _service(esteira: dict[str, Any], path: str) -> Any:
    return httpx.get(esteira["url"] + path, timeout=30, trust_env=False).raise_for_status().json()


def _steps(esteira: dict[str, Any], job_id: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = _service(esteira, f"/v1/jobs/{job_id}/steps")["items"]
    return steps


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise Untrue("the example's API did not start; its log stands above")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
