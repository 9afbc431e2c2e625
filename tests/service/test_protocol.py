"""Over a socket, as a client may get it wrong."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import uvicorn
from uvicorn.server import ServerState

from esteira_service import bodies, protocol
from esteira_service.protocol import MAX_HEAD_BYTES, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    from fastapi import FastAPI

JOB = b'{"task": "a.b"}'
HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


class Client:
    """A connection, and the answers on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        async with asyncio.timeout(20):
            status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, json.loads(body)

    async def problem(self, status: int, code: str) -> None:
        """Expect this problem, and that the connection ends after it."""
        got, headers, body = await self.answer()
        assert (got, body["status"], body["code"]) == (status, status, code)
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        async with asyncio.timeout(20):
            assert await self.reader.read() == b""


@pytest_asyncio.fixture
async def client(app: FastAPI) -> AsyncIterator[Client]:
    config = uvicorn.Config(app, log_config=None, lifespan="off")
    config.load()
    state = ServerState()
    listening = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(config, state, {}), sock=listening)
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    yield Client(reader, writer)
    writer.close()
    server.close()
    async with asyncio.timeout(20):
        await asyncio.gather(*state.tasks)


async def stored(db: asyncpg.Connection[Any]) -> int:
    found: int = await db.fetchval("select count(*) from esteira.job")
    return found


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        HEAD + b"Content-Length: many\r\n\r\n" + JOB,
        HEAD + b"Content-Length: -1\r\n\r\n" + JOB,
        HEAD + b"Content-Length: 15\r\nContent-Length: 16\r\n\r\n" + JOB,
        HEAD + b"Content-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n" + JOB,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + JOB,
        HEAD + b"No colon\r\n\r\n" + JOB,
    ],
)
async def test_what_is_no_http_is_answered_with_a_problem(
    client: Client, db: asyncpg.Connection[Any], sent: bytes
) -> None:
    client.send(sent)
    await client.problem(400, "MALFORMED_REQUEST")
    assert await stored(db) == 0


async def test_a_head_that_is_too_long_is_refused(client: Client, db: asyncpg.Connection[Any]) -> None:
    client.send(HEAD, b"X-Long: ", b"x" * MAX_HEAD_BYTES)
    await client.problem(431, "HEAD_TOO_LARGE")
    assert await stored(db) == 0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)


async def test_a_head_that_stops_is_waited_for_until_the_deadline(impatient: None, client: Client) -> None:
    client.send(HEAD)
    await client.problem(408, "REQUEST_TIMEOUT")


async def test_so_is_the_head_of_a_second_request(impatient: None, client: Client) -> None:
    client.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(JOB), JOB)
    assert (await client.answer())[0] == 202
    client.send(HEAD)
    await client.problem(408, "REQUEST_TIMEOUT")


async def test_who_says_nothing_is_left_without_an_answer(impatient: None, client: Client) -> None:
    async with asyncio.timeout(20):
        assert await client.reader.read() == b""


async def test_a_body_is_no_part_of_the_head(client: Client) -> None:
    for _ in range(3):
        job = JOB[:-1] + b', "payload": "' + b"x" * MAX_HEAD_BYTES + b'"}'
        client.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(job), job)
        assert (await client.answer())[0] == 202


async def test_a_body_that_stops_is_waited_for_until_the_deadline(
    client: Client, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "DEADLINE_SECONDS", 0.1)
    client.send(HEAD, b"Content-Length: 16\r\n\r\n", JOB)
    await client.problem(408, "REQUEST_TIMEOUT")
    assert await stored(db) == 0


async def test_a_body_that_is_there_needs_no_deadline(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "asyncio", None)
    for _ in range(2):
        client.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(JOB), JOB)
        assert (await client.answer())[0] == 202


async def test_of_a_body_that_is_cut_off_nothing_is_stored(
    client: Client, app: FastAPI, db: asyncpg.Connection[Any]
) -> None:
    client.send(HEAD, b"Content-Length: 16\r\n\r\n", JOB)
    client.writer.write_eof()
    async with asyncio.timeout(20):
        assert await client.reader.read() == b""
    assert await stored(db) == 0


async def test_a_body_that_is_longer_than_it_says_is_cut_there(client: Client, db: asyncpg.Connection[Any]) -> None:
    client.send(HEAD, b"Content-Length: 7\r\n\r\n", JOB)
    status, headers, body = await client.answer()
    assert (status, body["code"]) == (400, "MALFORMED_JSON")
    assert headers["content-type"] == "application/problem+json"
    async with asyncio.timeout(20):
        await client.reader.read()
    assert await stored(db) == 0


async def test_a_whole_request_is_answered_though_what_follows_is_none(
    client: Client, db: asyncpg.Connection[Any]
) -> None:
    client.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(JOB), JOB, b"nonsense\r\n\r\n")
    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (202, "close")
    assert await stored(db) == 1


async def test_a_request_that_asks_for_another_protocol_is_read_as_any_other(client: Client) -> None:
    # As Java's client sends all of its requests.
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    for _ in range(2):
        client.send(HEAD, upgrade, b"Content-Length: %d\r\n\r\n" % len(JOB), JOB)
        assert (await client.answer())[0] == 202
