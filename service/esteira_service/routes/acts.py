"""Act on jobs, one by its id or many by a filter: cancel, retry, discard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from esteira.acted import Acted
from esteira_service import examples, openapi
from esteira_service.bodies import read_model
from esteira_service.filters import ManyRequest
from esteira_service.models import JobView, ManyActed, ManyCancelled
from esteira_service.routes.strict import Json, StrictRoute
from esteira_service.state import state_of

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

_CANCELS = {
    200: openapi.answer("It had not started, and is cancelled.", examples.CANCELLED),
    202: openapi.answer("It is running, and was asked to stop.", examples.STOPPING, model=JobView),
    **openapi.problems("JOB_NOT_FOUND", "JOB_GONE", "ILLEGAL_TRANSITION", "INVALID_INPUT"),
}
_MANY = openapi.problems(*openapi.BODY)
_WHICH = openapi.body_of(ManyRequest)


@router.post(
    "/cancel",
    response_model=ManyCancelled,
    responses={200: openapi.answer("What it did.", examples.MANY_CANCELLED), **_MANY},
    openapi_extra=_WHICH,
)
async def cancel_jobs(request: Request) -> Json:
    """Cancel those jobs of a filter that have not started, and ask the running ones to stop, the oldest first."""
    wanted = await read_model(request, ManyRequest)
    acted = await _act(wanted, state_of(request).client.cancel_many)
    return Json(ManyCancelled(**_counts(wanted, acted), asked_to_stop=acted.asked))


@router.post(
    "/retry",
    response_model=ManyActed,
    responses={200: openapi.answer("What it did.", examples.MANY_ACTED), **_MANY},
    openapi_extra=_WHICH,
)
async def retry_jobs(request: Request) -> Json:
    """Give the dead and cancelled jobs of a filter another life, the oldest first.

    Those whose unique key a live job has stay where they are.
    """
    wanted = await read_model(request, ManyRequest)
    return Json(ManyActed(**_counts(wanted, await _act(wanted, state_of(request).client.retry_many))))


@router.post(
    "/discard",
    response_model=ManyActed,
    responses={200: openapi.answer("What it did.", examples.MANY_ACTED), **_MANY},
    openapi_extra=_WHICH,
)
async def discard_jobs(request: Request) -> Json:
    """Remove the dead jobs of a filter for good, the oldest first."""
    wanted = await read_model(request, ManyRequest)
    return Json(ManyActed(**_counts(wanted, await _act(wanted, state_of(request).client.discard_many))))


@router.post("/{job_id}/cancel", response_model=JobView, responses=_CANCELS)
async def cancel_job(request: Request, job_id: UUID) -> Json:
    """Cancel a job that has not started; ask a running one to stop. Answers with the job after it."""
    job = await state_of(request).client.cancel(job_id)
    return Json(JobView.of(job), 200 if job.done else 202)


@router.delete("/{job_id:job}", response_model=JobView, responses=_CANCELS)
async def delete_job(request: Request, job_id: UUID) -> Json:
    """Do what /v1/jobs/{job_id}/cancel does: the job is cancelled, and stays to be seen."""
    return await cancel_job(request, job_id)


@router.post(
    "/{job_id}/retry",
    response_model=JobView,
    responses={
        200: openapi.answer("It is queued again.", {**examples.QUEUED, "generation": 2}),
        **openapi.problems("JOB_NOT_FOUND", "JOB_GONE", "ILLEGAL_TRANSITION", "UNIQUE_CONFLICT", "INVALID_INPUT"),
    },
)
async def retry_job(request: Request, job_id: UUID) -> Json:
    """Give a dead or cancelled job another life; finished steps are kept. Answers with the job after it."""
    return Json(JobView.of(await state_of(request).client.retry(job_id)))


@router.post(
    "/{job_id}/discard",
    status_code=204,
    responses={
        204: {"description": "It is removed."},
        **openapi.problems("JOB_NOT_FOUND", "JOB_GONE", "ILLEGAL_TRANSITION", "INVALID_INPUT"),
    },
)
async def discard_job(request: Request, job_id: UUID) -> Response:
    """Remove a dead job for good, with its steps and attempts."""
    await state_of(request).client.discard(job_id)
    return Response(status_code=204)


async def _act(wanted: ManyRequest, verb: Callable[..., Awaitable[Acted]]) -> Acted:
    return await verb(wanted.filter.job_filter(), limit=wanted.limit, dry_run=wanted.dry_run)


def _counts(wanted: ManyRequest, acted: Acted) -> dict[str, Any]:
    return {"matched": acted.matched, "changed": acted.changed, "more": acted.more, "dry_run": wanted.dry_run}
