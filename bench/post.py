"""POST of jobs over 50 connections, as a share of an empty FastAPI route with the same body model; and a batch."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

CONNECTIONS = 50
SECONDS = 5
ROUNDS = 5
BATCH = 10_000
JOB = {"task": "bench.noop", "payload": {"id": 1, "customer": "a", "amount": 5}}
_SCRIPT = f"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{json.dumps(JOB)}'
"""
_MILLISECONDS = {"us": 0.001, "ms": 1, "s": 1000}


async def post(url: str) -> None:
    """Print the requests per second of both, in turns, and their percentiles; then batches."""
    if shutil.which("wrk") is None:
        print("post needs the load generator wrk: apt-get install wrk")
        return
    with _serving("esteira_service", url) as service, _serving("bench.empty_route", url) as empty:
        _load(service)
        rounds = [(_load(empty), _load(service)) for _ in range(ROUNDS)]
        _print("empty route", [one for one, _ in rounds])
        _print("POST /v1/jobs", [one for _, one in rounds])
        shares = [posted.rate / nothing.rate for nothing, posted in rounds]
        least, most = min(shares), max(shares)
        print(f"  share of the empty route: median {statistics.median(shares):.2f} ({least:.2f} to {most:.2f})")
        _batches(service)


class _Load:
    """What wrk measured: requests a second, percentiles in milliseconds."""

    def __init__(self, output: str) -> None:
        self.rate = float(_found(r"Requests/sec:\s+([\d.]+)", output).group(1))
        self.p50, self.p99 = (_milliseconds(_found(rf"\n\s+{share}%\s+(\S+)", output).group(1)) for share in (50, 99))
        if "Non-2xx" in output or "Socket errors" in output:
            raise RuntimeError(output)


def _load(address: str) -> _Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT)
        script.flush()
        command = [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{SECONDS}s",
            "--latency",
            "-s",
            script.name,
            f"{address}/v1/jobs",
        ]
        return _Load(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _print(name: str, loads: list[_Load]) -> None:
    rate, p50, p99 = (statistics.median(getattr(load, value) for load in loads) for value in ("rate", "p50", "p99"))
    print(f"{name}, {CONNECTIONS} connections: {rate:,.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def _batches(address: str) -> None:
    for atomic in (False, True):
        took = []
        for _ in range(3):
            began = time.perf_counter()
            answer = httpx.post(f"{address}/v1/jobs/batch", json={"jobs": [JOB] * BATCH, "atomic": atomic}, timeout=60)
            took.append(time.perf_counter() - began)
            assert answer.json()["accepted"] == BATCH, answer.text
        seconds = statistics.median(took)
        kind = "atomic batch" if atomic else "batch"
        print(f"{kind} of {BATCH:,} over HTTP: {seconds * 1000:,.0f} ms, {BATCH / seconds:,.0f} jobs/s")


@contextmanager
def _serving(module: str, url: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "ESTEIRA_DATABASE_URL": url,
        "ESTEIRA_PORT": str(port),
        "ESTEIRA_LOG_LEVEL": "critical",
    }
    with subprocess.Popen([sys.executable, "-m", module], env=environment, cwd=Path(__file__).parents[1]) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _await_answer(address, process)
            yield address
        finally:
            process.terminate()


def _await_answer(address: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            httpx.get(f"{address}/livez", timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{process.args!r} ended with {process.returncode}")


def _found(pattern: str, output: str) -> re.Match[str]:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"wrk did not say {pattern}: {output}")
    return found


def _milliseconds(text: str) -> float:
    number, unit = _found(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * _MILLISECONDS[unit]
