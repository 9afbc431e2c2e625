"""/v1/jobs/{id}: read one, change it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from esteira.encoding import encode
from esteira.errors import Changed, InvalidInput
from esteira.job import Explanation, Job
from esteira_service import examples, openapi
from esteira_service.bodies import read_model
from esteira_service.changes import JobChange
from esteira_service.etags import etag_of, matches
from esteira_service.models import AttemptList, JobView, ObservedJobView, StepList
from esteira_service.problems import InputError, Refusal, invalid
from esteira_service.routes.strict import Json, StrictRoute, Wait
from esteira_service.state import state_of

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

Poll = Annotated[
    Literal["1", "true"] | None,
    Query(description="Leave the ETag out and say when it was looked at, for tools that poll until an answer differs."),
]
IfNoneMatch = Annotated[str | None, Header(description="An ETag: 304 if the job is still as it was.")]
IfMatch = Annotated[str | None, Header(description="An ETag, or `*`: 412 if the job is no longer as it was.")]
_ONE_JOB = openapi.problems("JOB_NOT_FOUND", "JOB_GONE", "INVALID_INPUT")


@router.get(
    "/{job_id:job}",
    response_model=JobView | ObservedJobView,
    responses={
        200: openapi.answer(
            "The job as it is now.",
            examples.RUNNING,
            headers={"ETag": "Stays the same until something that is shown has changed; not with `poll`."},
        ),
        304: openapi.not_modified(),
        **openapi.problems("JOB_NOT_FOUND", "JOB_GONE", "INVALID_INPUT"),
    },
)
async def read_job(
    request: Request, job_id: UUID, wait: Wait = 0, poll: Poll = None, if_none_match: IfNoneMatch = None
) -> Response:
    """Show a job, at once, or when it has ended or `wait` is over, whichever comes first."""
    view = JobView.of(await _look(request, job_id, wait))
    if poll is not None:
        return Json(ObservedJobView(**vars(view), observed_at=datetime.now(UTC)))
    etag = etag_of(view)
    if if_none_match is not None and matches(if_none_match, "If-None-Match", etag):
        return Response(status_code=304, headers={"ETag": etag})
    return Json(view, headers={"ETag": etag})


@router.get(
    "/{job_id}/result",
    responses={
        200: openapi.answer("The result, by itself: any JSON.", examples.COMPLETED["result"]),
        202: openapi.answer(
            "It has not ended; the job as it is now.",
            examples.RUNNING,
            model=JobView,
            headers={"Retry-After": "Seconds after which it makes sense to ask again."},
        ),
        **openapi.problems(
            "JOB_NOT_FOUND", "JOB_GONE", "JOB_DEAD", "JOB_CANCELLED", "RESULT_NOT_STORED", "INVALID_INPUT"
        ),
    },
)
async def read_result(request: Request, job_id: UUID, wait: Wait = 0) -> Response:
    """Give what the task returned, and nothing else, once the job has completed."""
    job = await _look(request, job_id, wait)
    if not job.done:
        view = JobView.of(job)
        return Json(view, 202, {"Retry-After": str(view.poll_after_seconds)})
    refusal = _no_result(job)
    if refusal is not None:
        raise refusal
    return Response(encode(job.result), media_type=Json.media_type)


@router.patch(
    "/{job_id:job}",
    response_model=JobView,
    responses={
        200: openapi.answer("The job after it.", examples.EDITED, headers={"ETag": "As it is now."}),
        **openapi.problems(*openapi.BODY, "JOB_NOT_FOUND", "JOB_GONE", "ILLEGAL_TRANSITION", "CHANGED"),
    },
    openapi_extra=openapi.body_of(JobChange),
)
async def edit_job(request: Request, job_id: UUID, if_match: IfMatch = None) -> Json:
    """Change a job: each field that is given replaces the job's. Answers with the job after it.

    Tags and metadata at any time; priority, queue and run_at before it runs; payload before its first attempt.
    """
    state = state_of(request)
    change = await read_model(request, JobChange)
    edit = change.edit()
    seen = await state.client.get(job_id)
    if "payload" in edit:
        await state.intake.catalogue.refresh((seen.task,))
        faults = state.intake.catalogue.payload_faults(seen.task, change.payload)
        if faults:
            raise invalid(faults)
    if if_match is not None and not matches(if_match, "If-Match", etag_of(JobView.of(seen))):
        raise Changed(f"job {job_id} is not as the ETag says: it has changed meanwhile")
    if if_match not in (None, "*"):
        # Nothing may come between this look and the change.
        edit.setdefault("unchanged_since", seen.updated_at)
    try:
        view = JobView.of(await state.client.edit(job_id, **edit))
    except InvalidInput as error:
        raise _not_edited(change, error) from None
    return Json(view, headers={"ETag": etag_of(view)})


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


async def _look(request: Request, job_id: UUID, wait: float) -> Job:
    state = state_of(request)
    return await (state.hub.wait(job_id, wait) if wait else state.client.get(job_id))


def _no_result(job: Job) -> Refusal | None:
    if job.status == "dead":
        why = f"{job.error.type}: {job.error.message}" if job.error else job.reason
        return Refusal("JOB_DEAD", f"The job is dead, so there is no result: {why}")
    if job.status == "cancelled":
        return Refusal("JOB_CANCELLED", f"The job was cancelled, so there is no result: {job.reason}")
    if job.warnings:
        why = "; ".join(warning.detail for warning in job.warnings)
        return Refusal("RESULT_NOT_STORED", f"The job completed, but {why}")
    return None


def _not_edited(change: JobChange, error: InvalidInput) -> Refusal:
    wrong_queue = str(error).startswith(f'"{change.queue}" is no name')
    return invalid([InputError(pointer="/queue" if wrong_queue else "", detail=str(error))])
