"""The supervisor: the process that starts a worker and that people send signals to. It never runs user code."""

from __future__ import annotations

import asyncio
import random
import signal

import structlog
import uvloop

from esteira.client import Client
from esteira.database import Database
from esteira.errors import DatabaseUnavailable
from esteira.rights import WORK
from esteira.settings import Settings
from esteira_worker.life import Life, Lost
from esteira_worker.stop import Stop

log = structlog.get_logger()


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; a second signal cuts the drain short.

    Returns the exit code: 0 where everything was settled or given back, 1 where the database was away at the end.
    Raises ConfigurationError (no database, no tasks), SchemaMismatch, PermissionDenied,
    DatabaseUnavailable at the start.
    """
    return uvloop.run(Supervisor(settings).run())


class Supervisor:
    """Keep a worker alive through one life after another: given up, it begins anew under another id."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database(settings.require_database_url(), session_name="esteira-supervisor", size=4)
        self._stop = Stop()
        self._registered = False

    async def run(self) -> int:
        """Run until told to stop; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.tell)
        try:
            # An engine that cannot read it would die, again and again.
            self._settings.require_direct_url()
            client = Client(database=self._database)
            await client.check_schema()
            (await client.rights()).require(WORK)
            if self._database.pooled:
                log.info("behind_pooler", direct=self._settings.direct_url is not None)
            while not self._stop.told.is_set():
                if not await self._live():
                    return 1
        finally:
            await self._database.close()
        return 0

    async def _live(self) -> bool:
        """Live one life; False: it ended for good, but not in good order."""
        life = Life(self._settings, self._database, self._stop)
        structlog.contextvars.bind_contextvars(worker_id=str(life.worker_id))
        try:
            await life.run()
        except Lost:
            log.warning("worker_given_up")
        except DatabaseUnavailable as error:
            if self._stop.told.is_set():
                log.warning("stopped_without_database", error=str(error), detail="the lease will return its jobs")
                return False
            if not (life.registered or self._registered):
                raise
            log.warning("worker_waits", error=str(error))
            await self._stop.unless_told(asyncio.sleep(random.uniform(0.5, 3)))  # noqa: S311 - no secret
        finally:
            self._registered |= life.registered
        return True
