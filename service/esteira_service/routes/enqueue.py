"""/v1/jobs: enqueue."""

from __future__ import annotations

from fastapi import APIRouter, Request

from esteira.errors import InvalidInput
from esteira.job import Warning  # noqa: A004 - the word of the interface
from esteira_service import examples, openapi
from esteira_service.bodies import read_model
from esteira_service.models import JobView
from esteira_service.problems import InputError, Refusal, invalid
from esteira_service.requests import JobRequest
from esteira_service.routes.strict import Json, StrictRoute, Wait
from esteira_service.state import state_of

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)
_NO_KEYS = "idempotency keys are not supported yet: leave the header out; a request sent twice makes two jobs"


@router.post(
    "",
    status_code=202,
    response_model=JobView,
    responses={
        200: openapi.answer("It is stored, and it ended within `wait`.", examples.COMPLETED, model=JobView),
        202: openapi.answer(
            "It is stored. A task that no worker has declared yet is a warning.",
            examples.UNKNOWN_TASK,
            headers={"Location": "The job.", "Retry-After": "Seconds after which it makes sense to ask for it."},
        ),
        **openapi.problems("MALFORMED_JSON", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "INVALID_INPUT"),
    },
    openapi_extra=openapi.body_of(JobRequest),
)
async def create_job(request: Request, wait: Wait = 0) -> Json:
    """Enqueue a job. Once this has answered, the job is stored and will not be lost."""
    if "idempotency-key" in request.headers:
        raise invalid([InputError(header="Idempotency-Key", detail=_NO_KEYS)])
    state = state_of(request)
    wanted = await read_model(request, JobRequest)
    try:
        stored = await state.coalescer.enqueue(wanted.new_job())
    except InvalidInput as error:
        raise _refused(wanted, error) from None
    job = await state.hub.wait(stored.job.id, wait) if wait else stored.job
    warnings = job.warnings if stored.declared else [*job.warnings, _unknown_task(job.task)]
    view = JobView.of(job, payload=wanted.payload, warnings=warnings)
    if view.done:
        return Json(view)
    return Json(view, 202, {"Location": view.links.self, "Retry-After": str(view.poll_after_seconds)})


def _refused(wanted: JobRequest, error: InvalidInput) -> Refusal:
    names = {"/task": wanted.task, "/queue": wanted.queue}
    pointer = next((pointer for pointer, name in names.items() if str(error).startswith(f'"{name}" is no name')), "")
    return invalid([InputError(pointer=pointer, detail=str(error))])


def _unknown_task(task: str) -> Warning:
    return Warning(
        code="TASK_UNKNOWN",
        detail=f"No worker has declared the task {task} yet; the job waits for one: esteira worker --tasks MODULE",
    )
