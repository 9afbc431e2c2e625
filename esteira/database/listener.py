"""LISTEN on a connection of its own, for as long as the process lives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import structlog

from esteira.database.outage import outage
from esteira.database.pool import Database
from esteira.database.sqlstates import translated
from esteira.errors import DatabaseUnavailable

CHANNEL = "esteira"
_POOLED = (
    "notifications do not pass a connection pooler, so new jobs are found by polling, within about a second:"
    " for milliseconds set ESTEIRA_DIRECT_URL to PostgreSQL's own address"
)
# A link that has fallen silent behind something that answers keepalives (a proxy, a load balancer) is found by asking.
_ASK_SECONDS = 15.0
_ANSWER_SECONDS = 5.0
# `doctor` knows a session that listens by the statement that it sent last: this one, or LISTEN itself.
_IS_READ_ONLY = "/* listen esteira */ select current_setting('transaction_read_only')::boolean"
log = structlog.get_logger()


class Listener:
    """Call back with each notification's payload; with None after every (re)connect, when any may have been missed."""

    def __init__(
        self, database: Database, callback: Callable[[str | None], None], *, ask_seconds: float = _ASK_SECONDS
    ) -> None:
        self._ask_seconds = ask_seconds
        self._database = database
        self._callback = callback

    async def run(self) -> None:
        """Listen until cancelled; a lost connection is made anew after a jittered wait.

        Behind a connection pooler nothing would be heard, so nothing is listened to: it is said once.
        """
        failures = 0
        while True:
            try:
                await self._listen()
                failures = 0
            except DatabaseUnavailable as error:
                failures += 1
                outage.failed("listener", error)
            # Jitter: after a restart of the database all workers come back, but not at once.
            await asyncio.sleep(random.uniform(0.1, 0.5 * 2 ** min(failures, 3)))  # noqa: S311

    async def _listen(self) -> None:
        connection = await self._database.connect()
        if self._database.pooled:
            connection.terminate()
            log.warning("wakeups_off", detail=_POOLED)
            await asyncio.Event().wait()
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        try:
            with translated():
                await connection.add_listener(
                    CHANNEL, lambda _connection, _pid, _channel, payload: self._callback(str(payload))
                )
            outage.succeeded("listener")
            self._callback(None)
            while not gone.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._ask_seconds):
                        await gone.wait()
                        return
                with translated():
                    if await connection.fetchval(_IS_READ_ONLY, timeout=_ANSWER_SECONDS):
                        raise DatabaseUnavailable("it is read-only: nobody notifies here since a failover")
        finally:
            connection.terminate()
