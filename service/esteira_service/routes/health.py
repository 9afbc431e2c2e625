"""/livez and /readyz, for whoever restarts processes and sends traffic to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from fastapi import APIRouter, Request

from esteira.errors import DatabaseUnavailable
from esteira.job import Warning  # noqa: A004 - the word of the interface
from esteira.rights import ENQUEUE, GRANT, OPERATE, READ, Rights
from esteira_service import examples, openapi
from esteira_service.exposure import NO_AUTHENTICATION, is_loopback
from esteira_service.models import Health
from esteira_service.routes.strict import Json, StrictRoute
from esteira_service.state import State, state_of

# Probes give up soon; an answer after that would be for nobody.
PATIENCE_SECONDS = 3

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get(
    "/livez",
    response_model=Health,
    responses={200: openapi.answer("It is alive.", examples.ALIVE), **openapi.problems("INVALID_INPUT")},
)
async def livez(_request: Request) -> Json:
    """Say that the process answers, whatever the state of its database."""
    return Json(Health(status="alive"))


@router.get(
    "/readyz",
    response_model=Health,
    responses={
        200: openapi.answer("It can do its work; the warnings are for people.", examples.READY),
        **openapi.problems("INVALID_INPUT", "SCHEMA_MISMATCH", "DATABASE_FORBIDS"),
    },
)
async def readyz(request: Request) -> Json:
    """Say whether the database answers, has the schema that this version knows, and lets the service read and enqueue.

    Queues and tasks that hold jobs and have no living worker, or are paused, are warnings: their jobs wait, safely.
    So are workers with slots that take no job though nothing runs in them.
    """
    state = state_of(request)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await state.client.check_schema()
            rights = await state.client.rights()
            rights.require(READ, ENQUEUE)
            warnings = [
                *_exposure(state),
                *_rights(rights),
                *map(_unserved, await state.client.unserved_queues()),
                *map(_troubled, await state.client.troubled_workers()),
                *map(_paused, await state.client.paused_queues()),
                *_unclaimed(await state.client.unclaimed_tasks()),
            ]
    except TimeoutError:
        raise DatabaseUnavailable(f"no answer from the database within {PATIENCE_SECONDS} s") from None
    return Json(Health(status="ready", warnings=warnings))


def _exposure(state: State) -> list[Warning]:
    exposed = not is_loopback(state.settings.host)
    return [Warning(code="NO_AUTHENTICATION", detail=NO_AUTHENTICATION)] if exposed else []


def _rights(rights: Rights) -> list[Warning]:
    """Say that the service may not do all that its routes are for; running jobs is the workers'."""
    if OPERATE not in rights.missing:
        return []
    return [Warning(code="RIGHTS_MISSING", detail=f"The database account {rights.account} may not {OPERATE}: {GRANT}.")]


def _unserved(queue: str) -> Warning:
    return Warning(
        code="QUEUE_WITHOUT_WORKER",
        detail=f'Jobs stand in the queue "{queue}", and no living worker serves it.'
        f" Start one: esteira worker --tasks MODULE --queues {queue}",
    )


def _troubled(worker: str) -> Warning:
    return Warning(code="WORKER_HELD", detail=worker)


def _paused(queue: str) -> Warning:
    return Warning(
        code="QUEUE_PAUSED",
        detail=f'Ready jobs stand in the queue "{queue}", which somebody paused.'
        f" Let them run: POST /v1/queues/{quote(queue, safe='')}/resume",
    )


def _unclaimed(tasks: Mapping[str, bool]) -> Iterator[Warning]:
    for task, is_paused in tasks.items():
        if is_paused:
            detail = (
                f"Ready jobs of the task {task} wait, which somebody paused."
                f" Let them run: POST /v1/tasks/{quote(task, safe='')}/resume"
            )
            yield Warning(code="TASK_PAUSED", detail=detail)
        else:
            detail = (
                f"Ready jobs of the task {task} wait in a queue whose workers do not know it."
                " Start one that does: esteira worker --tasks MODULE"
            )
            yield Warning(code="TASK_WITHOUT_WORKER", detail=detail)
