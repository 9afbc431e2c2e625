"""GET /v1/jobs: the list, page by page."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from esteira.job_filter import JobFilter, Page, Sort
from esteira.queries import BODIES
from esteira_service import examples, openapi
from esteira_service.cursor import read_cursor, write_cursor
from esteira_service.filters import METADATA, Time, read_choices, read_metadata, read_statuses
from esteira_service.models import JobPage, JobView
from esteira_service.problems import InputError, invalid
from esteira_service.routes.strict import Json, StrictRoute
from esteira_service.state import state_of

MAX_PAGE = 200
MAX_OFFSET = 10_000


class ListRoute(StrictRoute):
    """Take metadata.KEY=VALUE beside what the route declares."""

    prefix = METADATA


router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=ListRoute)

_METADATA = {
    "name": "metadata",
    "in": "query",
    "style": "form",
    "explode": True,
    "description": "`metadata.KEY=VALUE`: jobs whose metadata has that value of that key; several: all of them. The"
    " text is also found where the metadata has the number or the boolean that it reads as.",
    "schema": {"type": "object", "patternProperties": {r"^metadata\..+$": {"type": "string"}}},
    "example": {"metadata.order": "2026-117"},
}


@router.get(
    "",
    response_model=JobPage,
    responses={
        200: openapi.answer("A page of jobs.", examples.PAGE, headers={"Link": "The page that follows (RFC 8288)."}),
        **openapi.problems("INVALID_INPUT"),
    },
    openapi_extra={"parameters": [_METADATA]},
)
async def list_jobs(  # noqa: PLR0913, PLR0917 - a parameter each
    request: Request,
    status: Annotated[list[str] | None, Query(description="One or more, repeated or with commas.")] = None,
    queue: str | None = None,
    task: str | None = None,
    tag: Annotated[list[str] | None, Query(description="Repeated: jobs that have all of these.")] = None,
    worker: Annotated[UUID | None, Query(description="The worker that runs them, or ran them last.")] = None,
    created_after: Annotated[Time | None, Query(description="RFC 3339; at this time or later.")] = None,
    created_before: Annotated[Time | None, Query(description="RFC 3339; before this time.")] = None,
    finished_after: Annotated[Time | None, Query(description="RFC 3339; at this time or later.")] = None,
    finished_before: Annotated[Time | None, Query(description="RFC 3339; before this time.")] = None,
    stuck: Annotated[Literal["true"] | None, Query(description="Only jobs that are stuck.")] = None,
    sort: Annotated[Sort, Query(description='"-": the latest first. By the end: ended jobs only.')] = "-created_at",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before, with the same query.")] = None,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET, description="Skip so many; a cursor is quicker.")] = 0,
    count: Annotated[
        Literal["none", "estimate", "exact"],
        Query(description="Give `total`: the planner's estimate, or exact, for which all that is found must be read."),
    ] = "none",
    include: Annotated[list[str] | None, Query(description="`payload`, `result`, repeated or with commas.")] = None,
) -> Response:
    """List jobs, the newest first, without payload and result.

    Stuck are jobs that run past their timeout or 15 min without progress, or that were ready and unclaimed for 5 min.
    """
    wanted = JobFilter(
        read_statuses(status), queue, task, tag, read_metadata(request), worker,
        created_after, created_before, finished_after, finished_before, stuck == "true",
    )  # fmt: skip
    bodies = read_choices("include", include, BODIES) or []
    if cursor is not None and offset:
        raise invalid([InputError(parameter="offset", detail="give a cursor or an offset, not both")])
    after = None if cursor is None else read_cursor(cursor, wanted, sort)
    client = state_of(request).client
    # One more than asked for tells whether there is a next page.
    jobs = await client.jobs(wanted, Page(sort, after, limit + 1, offset, bodies))
    total = None if count == "none" else await client.count(wanted, estimate=count == "estimate")
    following = write_cursor(jobs[limit - 1], wanted, sort) if len(jobs) > limit else None
    page = JobPage(items=[JobView.of(job) for job in jobs[:limit]], next=following, total=total)
    return Response(page.to_json(bodies), 200, _next_link(request, following), Json.media_type)


def _next_link(request: Request, cursor: str | None) -> dict[str, str] | None:
    if cursor is None:
        return None
    parameters = request.query_params.multi_items()
    kept = [(name, value) for name, value in parameters if name not in ("cursor", "offset")]
    return {"Link": f'<{request.url.path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'}
