"""/v1/workers: who is there, and asking one to leave."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request

from esteira_service import examples, openapi
from esteira_service.models import Draining, WorkerList
from esteira_service.routes.strict import Json, StrictRoute
from esteira_service.state import state_of

router = APIRouter(prefix="/v1/workers", tags=["workers"], route_class=StrictRoute)


@router.get(
    "",
    response_model=WorkerList,
    responses={
        200: openapi.answer("The workers, the youngest first.", examples.WORKERS),
        **openapi.problems("INVALID_INPUT"),
    },
)
async def list_workers(request: Request) -> Json:
    """Show the workers of the last day: what they hold, which tasks they know, and when they were last heard of."""
    return Json(WorkerList(items=await state_of(request).client.workers()))


@router.post(
    "/{worker_id}/drain",
    status_code=202,
    response_model=Draining,
    responses={
        202: openapi.answer("It was asked to stop, now or before.", examples.DRAINING),
        **openapi.problems("WORKER_NOT_FOUND", "INVALID_INPUT"),
    },
)
async def drain_worker(request: Request, worker_id: UUID) -> Json:
    """Ask a worker to stop as SIGTERM does: it claims nothing more, finishes what it runs, and leaves."""
    since = await state_of(request).client.drain(worker_id)
    return Json(Draining(id=worker_id, drain_requested_at=since), 202)
