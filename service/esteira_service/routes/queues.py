"""/v1/queues: how deep they are, and what an operator does to one. A queue's name may hold slashes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request

from esteira.errors import InvalidInput
from esteira.overview import Queue
from esteira_service import examples, openapi
from esteira_service.bodies import read_model
from esteira_service.models import Purged, QueueList
from esteira_service.problems import InputError, Refusal, invalid
from esteira_service.requests import NAME, QueueSettings
from esteira_service.routes.strict import Json, StrictRoute
from esteira_service.state import state_of

router = APIRouter(prefix="/v1/queues", tags=["queues"], route_class=StrictRoute)

Name = Annotated[str, Path(description="Its name; a slash in it may stand as it is.")]
# For what may come before its first job: a name that a job can give.
NewName = Annotated[Name, Path(pattern=NAME)]


@router.get(
    "",
    response_model=QueueList,
    responses={200: openapi.answer("The queues by name.", examples.QUEUES), **openapi.problems("INVALID_INPUT")},
)
async def list_queues(request: Request) -> Json:
    """Show how deep the queues are, how old the oldest ready job of each is, and how many living workers serve it."""
    return Json(QueueList(items=await state_of(request).client.queues()))


@router.post(
    "/{queue:path}/pause",
    response_model=Queue,
    responses={200: openapi.answer("It is paused.", examples.PAUSED_QUEUE), **openapi.problems("INVALID_INPUT")},
)
async def pause_queue(request: Request, queue: NewName) -> Json:
    """Let nothing of a queue be claimed from now on; what runs goes on. Also before its first job."""
    with _named():
        await state_of(request).client.pause(queue)
    return await read_queue(request, queue)


@router.post(
    "/{queue:path}/resume",
    response_model=Queue,
    responses={
        200: openapi.answer("It is not paused, or no longer.", examples.QUEUE),
        **openapi.problems("QUEUE_NOT_FOUND", "INVALID_INPUT"),
    },
)
async def resume_queue(request: Request, queue: Name) -> Json:
    """End the pause of a queue."""
    await state_of(request).client.resume(queue)
    return await read_queue(request, queue)


@router.post(
    "/{queue:path}/purge",
    response_model=Purged,
    responses={
        200: openapi.answer("How many it cancelled.", examples.PURGED),
        **openapi.problems("QUEUE_NOT_FOUND", "INVALID_INPUT"),
    },
)
async def purge_queue(request: Request, queue: Name) -> Json:
    """Cancel all jobs of a queue that do not run, reason `purged`; retry brings them back."""
    purged = await state_of(request).client.purge(queue)
    if not purged:
        await read_queue(request, queue)
    return Json(Purged(purged=purged))


@router.put(
    "/{queue:path}",
    response_model=Queue,
    responses={200: openapi.answer("The queue after it.", examples.KEPT_QUEUE), **openapi.problems(*openapi.BODY)},
    openapi_extra=openapi.body_of(QueueSettings),
)
async def set_queue(request: Request, queue: NewName) -> Json:
    """Set how long the ended jobs of a queue are kept. Also before its first job."""
    settings = await read_model(request, QueueSettings)
    kept = {"finished": _seconds(settings.keep_finished_seconds), "dead": _seconds(settings.keep_dead_seconds)}
    with _named():
        await state_of(request).client.keep(queue, **kept)
    return await read_queue(request, queue)


@router.get(
    "/{queue:path}",
    response_model=Queue,
    responses={
        200: openapi.answer("The queue.", examples.QUEUE),
        **openapi.problems("QUEUE_NOT_FOUND", "INVALID_INPUT"),
    },
)
async def read_queue(request: Request, queue: Name) -> Json:
    """Show how deep a queue is."""
    found = await state_of(request).client.queue(queue)
    if found is None:
        raise Refusal("QUEUE_NOT_FOUND", f'nothing is known of a queue "{queue}": no job, no task, no setting')
    return Json(found)


@contextmanager
def _named() -> Iterator[None]:
    """Blame the name for what the database does not take."""
    try:
        yield
    except InvalidInput as error:
        raise invalid([InputError(parameter="queue", detail=str(error))]) from None


def _seconds(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
