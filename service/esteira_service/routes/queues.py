"""GET /v1/queues."""

from __future__ import annotations

from fastapi import APIRouter, Request

from esteira_service import examples, openapi
from esteira_service.models import QueueList
from esteira_service.routes.strict import Json, StrictRoute
from esteira_service.state import state_of

router = APIRouter(prefix="/v1/queues", tags=["queues"], route_class=StrictRoute)


@router.get(
    "",
    response_model=QueueList,
    responses={200: openapi.answer("The queues by name.", examples.QUEUES), **openapi.problems("INVALID_INPUT")},
)
async def list_queues(request: Request) -> Json:
    """Show how deep the queues are, how old the oldest ready job of each is, and how many living workers serve it."""
    return Json(QueueList(items=await state_of(request).client.queues()))
