"""What the requests of one process share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import structlog
from fastapi import Request

from esteira.client import Client
from esteira.database import Database
from esteira.rights import ENQUEUE, GRANT, OPERATE, READ
from esteira.settings import Settings
from esteira_service.batch import BatchIntake
from esteira_service.intake import Intake
from esteira_service.waiting import Hub

# A plan that was cached while a table was small reads all of it when it has grown: 200 jobs by id out of 20,000 took
# 17 ms instead of 1. A connection pooler refuses the setting; behind one each statement is planned anew, and took 1.4.
# Helpers take longer to start than a page takes, and count against all (30 ms of 60).
_SESSION = {"enable_seqscan": "off", "max_parallel_workers_per_gather": "0"}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class State:
    """The client, and what makes many requests share its statements."""

    settings: Settings
    client: Client
    intake: Intake
    batches: BatchIntake
    hub: Hub


@asynccontextmanager
async def open_state(settings: Settings) -> AsyncIterator[State]:
    """Connect, refuse a schema that this version does not know, and leave in good order.

    Raises ConfigurationError, DatabaseUnavailable, SchemaMismatch, PermissionDenied.
    """
    database = Database(settings.require_database_url(), session_name="esteira-service", settings=_SESSION)
    async with Client(database=database) as client:
        await client.check_schema()
        if database.pooled:
            log.info("behind_pooler")
        await _check_rights(client)
        intake = Intake(client)
        state = State(settings, client, intake, BatchIntake(client, intake), Hub(client))
        try:
            yield state
        finally:
            await state.hub.close()
            await intake.close()


async def _check_rights(client: Client) -> None:
    """Say what the account may not do; a grant mends it while the service runs, and until then /readyz says it too."""
    rights = await client.rights()
    if {READ, ENQUEUE, OPERATE} & {*rights.missing}:
        log.warning("rights_missing", account=rights.account, missing=rights.missing, detail=f"{rights}: {GRANT}")


def state_of(request: Request) -> State:
    """Return what the requests of this process share."""
    return cast(State, request.app.state.esteira)
