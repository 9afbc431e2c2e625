"""/v1/jobs: enqueue."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from esteira.new_job import Enqueued
from esteira_service import examples, openapi
from esteira_service.batch import DEADLINE_SECONDS, MAX_BATCH_BYTES
from esteira_service.bodies import read_body, read_model
from esteira_service.intake import is_new
from esteira_service.keys import HEADER, read_key
from esteira_service.models import BatchView, JobView
from esteira_service.problems import InputError, Refusal, invalid
from esteira_service.requests import BatchRequest, JobRequest
from esteira_service.routes.strict import Json, StrictRoute, Wait
from esteira_service.state import state_of

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)


_KEYS = ("IDEMPOTENCY_IN_FLIGHT", "UNIQUE_IN_FLIGHT", "UNIQUE_CONFLICT", "JOB_GONE", "IDEMPOTENCY_MISMATCH")
_REPLAYED = "`true` if an earlier request with the same idempotency key made the job."


@router.post(
    "",
    status_code=202,
    response_model=JobView,
    responses={
        200: openapi.answer(
            "It is stored, and it ended within `wait`.",
            examples.COMPLETED,
            model=JobView,
            headers={"Idempotency-Replayed": _REPLAYED},
        ),
        202: openapi.answer(
            "It is stored. What may keep it from running is a warning.",
            examples.UNKNOWN_TASK,
            headers={
                "Location": "The job.",
                "Retry-After": "Seconds after which it makes sense to ask for it.",
                "Idempotency-Replayed": _REPLAYED,
            },
        ),
        **openapi.problems(*openapi.BODY, *_KEYS),
    },
    openapi_extra={**openapi.body_of(JobRequest), **openapi.header("Idempotency-Key", "As `idempotency_key`.")},
)
async def create_job(request: Request, wait: Wait = 0) -> Json:
    """Enqueue a job. Once this has answered, the job is stored and will not be lost."""
    state = state_of(request)
    wanted = await read_model(request, JobRequest)
    in_header = read_key(request, wanted)
    try:
        enqueued, view = await state.intake.enqueue(wanted)
    except Refusal as refusal:
        raise _at_header(refusal) if in_header else refusal from None
    if wait and not view.done:
        changes = {"payload": wanted.payload} if is_new(enqueued) else {}
        view = JobView.of(await state.hub.wait(view.id, wait), **changes)
    view.warnings = state.intake.warnings(enqueued, view)
    return Json(view, 200 if wait and view.done else 202, _headers(view, enqueued))


@router.post(
    "/batch",
    response_model=BatchView,
    responses={
        200: openapi.answer("What became of each job, in their order; with `atomic`, all are stored.", examples.BATCH),
        **openapi.problems(*openapi.BODY, *_KEYS[:3], "IDEMPOTENCY_MISMATCH"),
    },
    openapi_extra=openapi.body_of(BatchRequest),
)
async def create_jobs(request: Request) -> Response:
    """Enqueue up to 10,000 jobs. One that is refused does not hinder the others, unless the batch is atomic."""
    if HEADER in request.headers:
        raise invalid([InputError(header=HEADER, detail="each job of a batch has its own idempotency_key")])
    batches = state_of(request).batches
    async with batches.turn:
        view = await batches.enqueue(await read_body(request, MAX_BATCH_BYTES, DEADLINE_SECONDS))
    return Response(view.model_dump_json(exclude_none=True), media_type=Json.media_type)


def _headers(view: JobView, enqueued: Enqueued) -> dict[str, str]:
    headers = {"Location": view.links.self}
    if view.poll_after_seconds is not None:
        headers["Retry-After"] = str(view.poll_after_seconds)
    if enqueued.outcome == "replayed":
        headers["Idempotency-Replayed"] = "true"
    return headers


def _at_header(refusal: Refusal) -> Refusal:
    """Point at the header where the key came in one."""
    if refusal.code == "IDEMPOTENCY_MISMATCH" and refusal.errors:
        refusal.errors = [InputError(header=HEADER, detail=fault.detail) for fault in refusal.errors]
    return refusal
