"""/v1/jobs: read, list, act."""

from __future__ import annotations

from typing import Annotated, Literal, get_args
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from esteira.job import Explanation, Status
from esteira.queries import JobFilter, Page
from esteira_service import examples, openapi
from esteira_service.cursor import read_cursor, write_cursor
from esteira_service.models import AttemptList, JobPage, JobView, StepList
from esteira_service.problems import InputError, invalid
from esteira_service.routes.strict import Json, StrictRoute, Wait
from esteira_service.state import state_of

MAX_PAGE = 200

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

_ONE_JOB = openapi.problems("JOB_NOT_FOUND", "INVALID_INPUT")


@router.get(
    "",
    response_model=JobPage,
    responses={
        200: openapi.answer("A page of jobs.", examples.PAGE, headers={"Link": "The page that follows (RFC 8288)."}),
        **openapi.problems("INVALID_INPUT"),
    },
)
async def list_jobs(
    request: Request,
    status: Annotated[list[str] | None, Query(description="One or more, repeated or with commas.")] = None,
    queue: str | None = None,
    task: str | None = None,
    stuck: Annotated[Literal["true"] | None, Query(description="Only jobs that are stuck.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """List jobs, the newest first, without payload and result.

    Stuck are jobs that run past their timeout or 15 min without progress, or that were ready and unclaimed for 5 min.
    """
    after = None if cursor is None else (None, read_cursor(cursor))
    # One more than asked for tells whether there is a next page.
    wanted = JobFilter(_statuses(status), queue, task, stuck=stuck == "true")
    jobs = await state_of(request).client.jobs(wanted, Page(after=after, limit=limit + 1))
    following = write_cursor(jobs[limit - 1].id) if len(jobs) > limit else None
    page = JobPage(items=[JobView.of(job) for job in jobs[:limit]], next=following)
    return Response(page.to_json(), 200, _next_link(request, following), Json.media_type)


@router.get(
    "/{job_id}",
    response_model=JobView,
    responses={200: openapi.answer("The job as it is now.", examples.RUNNING), **_ONE_JOB},
)
async def read_job(request: Request, job_id: UUID, wait: Wait = 0) -> Json:
    """Show a job, at once, or when it has ended or `wait` is over, whichever comes first."""
    state = state_of(request)
    return Json(JobView.of(await (state.hub.wait(job_id, wait) if wait else state.client.get(job_id))))


@router.get(
    "/{job_id}/steps",
    response_model=StepList,
    responses={200: openapi.answer("The finished steps.", examples.STEPS), **_ONE_JOB},
)
async def list_steps(request: Request, job_id: UUID) -> Json:
    """Show the finished steps of a job with their results, in the order in which they finished."""
    return Json(StepList(items=await state_of(request).client.steps(job_id)))


@router.get(
    "/{job_id}/attempts",
    response_model=AttemptList,
    responses={200: openapi.answer("The attempts, the first one first.", examples.ATTEMPTS), **_ONE_JOB},
)
async def list_attempts(request: Request, job_id: UUID) -> Json:
    """Show the attempts that did not complete: how each ended, and why."""
    return Json(AttemptList(items=await state_of(request).client.attempts(job_id)))


@router.get(
    "/{job_id}/explain",
    response_model=Explanation,
    responses={200: openapi.answer("A code for programs, a sentence for people.", examples.EXPLANATION), **_ONE_JOB},
)
async def explain_job(request: Request, job_id: UUID) -> Json:
    """Say why a job is not running now, or what it is doing."""
    return Json(await state_of(request).client.explain(job_id))


@router.post(
    "/{job_id}/cancel",
    response_model=JobView,
    responses={
        200: openapi.answer("It had not started, and is cancelled.", examples.CANCELLED),
        202: openapi.answer("It is running, and was asked to stop.", examples.STOPPING, model=JobView),
        **openapi.problems("JOB_NOT_FOUND", "ILLEGAL_TRANSITION", "INVALID_INPUT"),
    },
)
async def cancel_job(request: Request, job_id: UUID) -> Json:
    """Cancel a job that has not started; ask a running one to stop. Answers with the job after it."""
    job = await state_of(request).client.cancel(job_id)
    return Json(JobView.of(job), 200 if job.done else 202)


@router.post(
    "/{job_id}/retry",
    response_model=JobView,
    responses={
        200: openapi.answer("It is queued again.", {**examples.QUEUED, "generation": 2}),
        **openapi.problems("JOB_NOT_FOUND", "ILLEGAL_TRANSITION", "INVALID_INPUT"),
    },
)
async def retry_job(request: Request, job_id: UUID) -> Json:
    """Give a dead or cancelled job another life; finished steps are kept. Answers with the job after it."""
    return Json(JobView.of(await state_of(request).client.retry(job_id)))


def _statuses(given: list[str] | None) -> list[str] | None:
    if given is None:
        return None
    statuses = [status for part in given for status in part.split(",")]
    known = get_args(Status)
    wrong = [status for status in statuses if status not in known]
    if wrong:
        detail = f"{', '.join(map(repr, wrong))}: the statuses are {', '.join(known)}"
        raise invalid([InputError(parameter="status", detail=detail)])
    return statuses


def _next_link(request: Request, cursor: str | None) -> dict[str, str] | None:
    if cursor is None:
        return None
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return {"Link": f'<{request.url.path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'}
