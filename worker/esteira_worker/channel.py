"""Messages between a supervisor and its engines, an engine and its children: a JSON line each, over a socket pair."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import orjson


class Channel:
    """One end of a socket pair. `receive` returns None when the other end is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """Take over a socket. Lines may be as long as a payload."""
        return cls(*await asyncio.open_connection(sock=end, limit=1 << 30))

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message; what goes to an end that is gone is forgotten."""
        if not self._writer.is_closing():
            self._writer.write(orjson.dumps({"kind": kind, **fields}) + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message; None where the other end is gone or broken."""
        try:
            line = await self._reader.readline()
            message: dict[str, Any] | None = orjson.loads(line) if line.endswith(b"\n") else None
        except (OSError, orjson.JSONDecodeError):
            # Gone, or no longer talking sense: a function wrote into a socket that was not its own.
            return None
        return message

    def is_closed(self) -> bool:
        """Tell whether the other end is known to be gone."""
        return self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
