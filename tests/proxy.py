"""A TCP proxy between a process and its database, which does what networks do: it passes, delays, resets, swallows.

It understands just enough of PostgreSQL's protocol to lose the replies to one kind of statement and no others.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_SIZE = 65536
# What may come before a session's first message with a type: requests for encryption, which the server declines.
_ENCRYPTION = (80877103, 80877104)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# As long as the server's keepalives take to notice that nobody is there: Database asks for 5 + 3 * 2.
_KEEPALIVE_SECONDS = 11.0


class Statements:
    """Follow what a client sends, and tell when it runs a statement that holds this text, prepared or not."""

    def __init__(self) -> None:
        self._unread = b""
        self._begun = False
        self._texts: dict[bytes, bytes] = {}

    def run(self, sent: bytes) -> Iterator[bytes]:
        """Return the text of each statement that these bytes run."""
        self._unread += sent
        while (message := self._message()) is not None:
            kind, body = message
            if kind == b"Q":
                yield body
            elif kind == b"P":
                name, text, *_ = body.split(b"\0", 2)
                self._texts[name] = text
            elif kind == b"B":
                _, name, *_ = body.split(b"\0", 2)
                yield self._texts.get(name, b"")

    def _message(self) -> tuple[bytes, bytes] | None:
        """Take one whole message: its type, empty at the start of a session, and its body."""
        head = 1 if self._begun else 0
        if len(self._unread) < head + 4:
            return None
        end = head + int.from_bytes(self._unread[head : head + 4])
        if len(self._unread) < end:
            return None
        kind, body = self._unread[:head], self._unread[head + 4 : end]
        self._unread = self._unread[end:]
        self._begun = self._begun or int.from_bytes(body[:4]) not in _ENCRYPTION
        return kind, body


class Connection:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: Stream, server: Stream) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._statements = Statements()
        self._loses = False
        self.swallowed = False

    async def run(self) -> None:
        """Pass bytes both ways until one side has ended."""
        with suppress(ConnectionError):
            ways = [asyncio.create_task(way) for way in (self._ask(), self._answer())]
            try:
                done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in done:
                    way.result()
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.wait(ways)

    def reset(self) -> None:
        """End both sides at once; the client's with a RST."""
        raw = self._client[1].get_extra_info("socket")
        # It may be closed already.
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        for _, writer in (self._client, self._server):
            writer.transport.abort()

    async def _ask(self) -> None:
        while sent := await self._client[0].read(_SIZE):
            texts = list(self._statements.run(sent))
            lost = self._proxy.lost_replies
            self._loses = self._loses or (bool(lost) and any(lost in text for text in texts))
            await self._pass(sent, self._server)
        if self.swallowed:
            # Its end does not get through either: the server keeps the session, and the locks that it holds.
            await asyncio.sleep(_KEEPALIVE_SECONDS)

    async def _answer(self) -> None:
        while sent := await self._server[0].read(_SIZE):
            if self._loses and not self.swallowed:
                # The server has done it, as its answer shows; nobody will hear so.
                self._proxy.replies_lost += 1
                self.reset()
                return
            await self._pass(sent, self._client)
        if self.swallowed:
            await asyncio.Event().wait()

    async def _pass(self, sent: bytes, to: Stream) -> None:
        if self._proxy.delay:
            await asyncio.sleep(self._proxy.delay)
        if not self.swallowed:
            to[1].write(sent)
            await to[1].drain()


class Proxy:
    """Listen on a port of its own and pass everything on to the server at this address.

    delay: seconds for which each piece is held up. lost_replies: a part of the statements whose replies do not arrive:
    they are done, and their connection is reset when the answer comes. replies_lost: how often that happened.
    accepted: how often somebody connected.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._blackhole = False
        self.delay = 0.0
        self.lost_replies = b""
        self.replies_lost = 0
        self.accepted = 0

    @property
    def url(self) -> str:
        """The database's address, through here."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        user, at, _ = self._url.netloc.rpartition("@")
        return self._url._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """End everything."""
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def reset(self) -> None:
        """Reset all connections; new ones are welcome."""
        for connection in list(self._connections):
            connection.reset()

    def blackhole(self) -> None:
        """Swallow everything from now on, without a word: no reset, no end."""
        self._blackhole = True
        for connection in self._connections:
            connection.swallowed = True

    def heal(self) -> None:
        """Pass new connections on as they are. Those that were in a blackhole stay silent for ever, as behind a NAT."""
        self._blackhole, self.delay, self.lost_replies = False, 0.0, b""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.accepted += 1
        try:
            await self._connect((reader, writer))
        except asyncio.CancelledError:
            pass
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def _connect(self, client: Stream) -> None:
        if self._blackhole:
            # Its bytes are acknowledged by the kernel and go nowhere, until its client gives up.
            while await client[0].read(_SIZE):
                pass
            return
        try:
            server = await asyncio.open_connection(self._url.hostname, self._url.port)
        except OSError:
            return
        connection = Connection(self, client, server)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            server[1].transport.abort()


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def running_proxy(url: str) -> AsyncIterator[Proxy]:
    """Run a proxy in front of this database."""
    proxy = Proxy(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
