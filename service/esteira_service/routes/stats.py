"""GET /v1/stats: the whole installation in a few numbers."""

from __future__ import annotations

from fastapi import APIRouter, Request

from esteira_service import examples, openapi
from esteira_service.models import Lately, Stats
from esteira_service.routes.strict import Json, StrictRoute
from esteira_service.state import state_of

router = APIRouter(prefix="/v1/stats", tags=["stats"], route_class=StrictRoute)


@router.get(
    "",
    response_model=Stats,
    responses={
        200: openapi.answer("Over all queues.", examples.STATS),
        **openapi.problems("INVALID_INPUT"),
    },
)
async def read_stats(request: Request) -> Json:
    """Show how many jobs there are in each state, over all queues, what ended lately, and what works on them."""
    client = state_of(request).client
    lately = [Lately.of(ended) for ended in await client.ended_lately()]
    return Json(Stats(**vars(await client.totals()), last_five_minutes=lately[0], last_hour=lately[1]))
