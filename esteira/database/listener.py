"""LISTEN on a connection of its own, for as long as the process lives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from esteira.database.pool import Database
from esteira.database.sqlstates import translated
from esteira.errors import DatabaseUnavailable

CHANNEL = "esteira"
_POOLED = (
    "notifications do not pass a connection pooler, so new jobs are found by polling, within about a second:"
    " for milliseconds set ESTEIRA_DIRECT_URL to PostgreSQL's own address"
)
log = structlog.get_logger()


class Listener:
    """Call back with each notification's payload; with None after every (re)connect, when any may have been missed."""

    def __init__(self, database: Database, callback: Callable[[str | None], None]) -> None:
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
                log.warning("listener_disconnected", error=str(error))
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
            self._callback(None)
            await gone.wait()
        finally:
            connection.terminate()
