"""POST of jobs over 50 connections, as a share of an empty FastAPI route with the same body model; and a batch."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from statistics import median

import httpx

from bench.measured import Figure
from bench.scale import Scale
from bench.scenario import Scenario
from bench.serving import serving
from bench.session import Session
from bench.system import MissingError

CONNECTIONS = 50
SECONDS = 2
TURNS = 7
BATCH = 10_000
JOB = {"task": "bench.job", "payload": {"id": 1, "customer": "a", "amount": 5}}
_SCRIPT = f"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{json.dumps(JOB)}'
"""
_MILLISECONDS = {"us": 0.001, "ms": 1, "s": 1000}


async def _round(session: Session, scale: Scale) -> list[Figure]:  # noqa: ARG001
    if shutil.which("wrk") is None:
        raise MissingError("there is no wrk, the load generator, here; on Debian: apt-get install wrk")
    with serving("esteira_service", session.place.url) as service, serving("bench.empty_route", "") as empty:
        _load(service)
        # In turns, since a shared machine changes its pace within seconds.
        turns = [(_load(empty), _load(service)) for _ in range(TURNS)]
        posted = [post for _, post in turns]
        return [
            Figure("POST", median(post.rate for post in posted), "requests/s", "more"),
            Figure(
                "POST / an empty route", median(post.rate / nothing.rate for nothing, post in turns), "share", "more"
            ),
            Figure("POST, p50", median(post.p50 for post in posted), "ms", "less"),
            Figure("POST, p99", median(post.p99 for post in posted), "ms", "less"),
            Figure("batch of 10,000", _batch(service, atomic=False), "jobs/s", "more"),
            Figure("atomic batch of 10,000", _batch(service, atomic=True), "jobs/s", "more"),
        ]


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


def _batch(address: str, *, atomic: bool) -> float:
    began = time.perf_counter()
    answer = httpx.post(f"{address}/v1/jobs/batch", json={"jobs": [JOB] * BATCH, "atomic": atomic}, timeout=60)
    took = time.perf_counter() - began
    assert answer.json()["accepted"] == BATCH, answer.text
    return BATCH / took


def _found(pattern: str, output: str) -> re.Match[str]:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"wrk did not say {pattern}: {output}")
    return found


def _milliseconds(text: str) -> float:
    number, unit = _found(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * _MILLISECONDS[unit]


SCENARIO = Scenario("post", f"HTTP, {CONNECTIONS} connections", _round, rounds="few", alone=True)
