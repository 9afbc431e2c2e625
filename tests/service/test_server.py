"""The real process, over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from esteira_service.exposure import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.service.conftest import FakeWorker


class Service:
    """A running process, its address, and the events that it logged so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    async def event(self, name: str) -> dict[str, Any]:
        """Read the log up to this event."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            async for line in self.process.stderr:
                self.events.append(json.loads(line))
                if self.events[-1]["event"] == name:
                    return self.events[-1]
        raise AssertionError(f"no {name} in {self.events}")


async def spawn(**environment: str) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ESTEIRA_")}
    named = {f"ESTEIRA_{name.upper()}": value for name, value in environment.items()}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "esteira_service", stderr=asyncio.subprocess.PIPE, env={**clean, **named}
    )


@asynccontextmanager
async def running(**environment: str) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    service = Service(await spawn(**{"port": "0", **environment}))
    try:
        url = (await service.event("service_started"))["url"].replace("0.0.0.0", "127.0.0.1")
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            yield service, http
    finally:
        if service.process.returncode is None:
            service.process.kill()
        await service.process.communicate()


async def failure(**environment: str) -> str:
    """Start a process that cannot run, and return what it says."""
    process = await spawn(**environment)
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert process.returncode == 1
    return said.decode().splitlines()[-1]


async def test_a_job_goes_through_the_real_process(database_url: str, worker: FakeWorker) -> None:
    async with running(database_url=database_url) as (_, http):
        posted = await http.post("/v1/jobs", json={"task": "a.b", "payload": 10**999})
        assert posted.status_code == 202
        await worker.run("done")
        assert (await http.get(posted.headers["location"])).json()["result"] == "done"
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/docs")).status_code == 200


async def test_many_clients_at_once_are_all_answered(database_url: str, worker: FakeWorker) -> None:
    async with running(database_url=database_url) as (_, http):
        answers = await asyncio.gather(*(http.post("/v1/jobs", json={"task": "a.b"}) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 200


async def test_a_chunked_body_that_never_ends_is_stopped(database_url: str) -> None:
    async with running(database_url=database_url) as (_, http):
        reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
        writer.write(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for _ in range(17):
            writer.write(chunk)
        async with asyncio.timeout(20):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_sigterm_answers_who_waits_and_ends_the_process(database_url: str) -> None:
    async with running(database_url=database_url) as (service, http):
        job = (await http.post("/v1/jobs", json={"task": "a.b"})).json()
        waiting = asyncio.create_task(http.get(f"/v1/jobs/{job['id']}?wait=50"))
        # Sent after it and answered before it: the one that waits has arrived.
        assert (await http.get("/livez")).status_code == 200
        service.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert (await waiting).json()["status"] == "queued"
            await service.event("service_stopped")
            assert await service.process.wait() in (0, -signal.SIGTERM)
    assert [event["event"] for event in service.events] == ["service_started", "service_stopping", "service_stopped"]


async def test_a_service_that_others_can_reach_warns(database_url: str) -> None:
    async with running(database_url=database_url, host="0.0.0.0") as (service, http):
        assert (await service.event("no_authentication"))["level"] == "warning"
        [warning] = (await http.get("/readyz")).json()["warnings"]
        assert warning["code"] == "NO_AUTHENTICATION"


async def test_a_database_without_schema_ends_it_with_a_plain_message(empty_database_url: str) -> None:
    said = await failure(database_url=empty_database_url, port="0")
    assert said == "esteira: the database has no Esteira schema; make it with: esteira migrate"


async def test_no_database_at_all_ends_it_with_a_plain_message() -> None:
    assert "ESTEIRA_DATABASE_URL" in await failure(port="0")


async def test_a_port_that_is_taken_ends_it_with_a_plain_message(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = await failure(database_url=database_url, port=str(taken.getsockname()[1]))
    assert "Address already in use" in said
    assert "ESTEIRA_PORT" in said


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_only_loopback_addresses_are_private_to_this_machine(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback
