"""GET /v1/workers."""

from __future__ import annotations

from fastapi import APIRouter, Request

from esteira_service import examples, openapi
from esteira_service.models import WorkerList
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
