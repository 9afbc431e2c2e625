"""HTTP as uvicorn reads it, but what is no HTTP is answered with a problem, and a head has to end, soon and short."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from esteira_service.problems import KINDS, MEDIA_TYPE, Refusal, problem

# Among the scope's extensions where a request has arrived as a whole: nobody has to wait for its body.
ARRIVED = "esteira.arrived"
MAX_HEAD_BYTES = 64 << 10
HEAD_SECONDS = 30.0
# Java's client asks for HTTP/2 with every request, and httptools leaves off reading one that asks for another protocol,
# body and all. To ask is a header that a server may ignore (RFC 9110, 7.8): here it gets a name of the same length that
# says nothing. JSON cannot have it, since no text in it has a line break.
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class Protocol(HttpToolsProtocol):
    """Read a connection's requests."""

    _in_head = True
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Await the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Await nothing any more."""
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has arrived, and give up on a head that is too long."""
        super().data_received(_UPGRADE.sub(b"\r\nignored:", data))
        if not self._in_head:
            self._head_is_there()
            return
        self._await_head()
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse("HEAD_TOO_LARGE")

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop to count."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request is there; most are before anybody reads them."""
        self.scope.setdefault("extensions", {})[ARRIVED] = {}
        super().on_message_complete()

    def _await_head(self) -> None:
        # No timer where a head arrives in one piece on a connection that is kept: uvicorn closes one that idles.
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _head_is_there(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self._head_bytes:
            self._refuse("REQUEST_TIMEOUT")
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's
        """Answer what is no HTTP; a request before it that has arrived as a whole gets its own answer first."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._refuse("MALFORMED_REQUEST")
        elif not cycle.more_body:
            cycle.keep_alive = False
        else:
            # Its body is broken: whoever reads it learns that there is nobody left.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
            else:
                self._refuse("MALFORMED_REQUEST")

    def _refuse(self, code: str) -> None:
        answer = problem(Refusal(code, KINDS[code].example))
        body = bytes(answer.body)
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[answer.status_code] + head.encode() + body)
        self.transport.close()
