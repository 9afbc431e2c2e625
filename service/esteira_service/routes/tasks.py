"""/v1/tasks: what workers declare, and pauses. A task's name may hold slashes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from esteira.overview import DeclaredTask
from esteira_service import examples, openapi
from esteira_service.models import TaskList
from esteira_service.routes.strict import Json, StrictRoute
from esteira_service.state import state_of

router = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=StrictRoute)

Name = Annotated[str, Path(description="Its name; a slash in it may stand as it is.")]
_REFUSED = openapi.problems("TASK_NOT_FOUND", "INVALID_INPUT")


@router.get(
    "",
    response_model=TaskList,
    responses={200: openapi.answer("The tasks by name.", examples.TASKS), **openapi.problems("INVALID_INPUT")},
)
async def list_tasks(request: Request) -> Json:
    """Show the tasks that workers ever declared: policy, payload schema, jobs that have not ended well, workers."""
    return Json(TaskList(items=await state_of(request).client.tasks()))


@router.post(
    "/{task:path}/pause",
    response_model=DeclaredTask,
    responses={200: openapi.answer("It is paused.", examples.PAUSED_TASK), **_REFUSED},
)
async def pause_task(request: Request, task: Name) -> Json:
    """Let no job of a task be claimed from now on, in whatever queue; what runs goes on."""
    await state_of(request).client.pause_task(task)
    return await read_task(request, task)


@router.post(
    "/{task:path}/resume",
    response_model=DeclaredTask,
    responses={200: openapi.answer("It is not paused, or no longer.", examples.TASK), **_REFUSED},
)
async def resume_task(request: Request, task: Name) -> Json:
    """End the pause of a task."""
    await state_of(request).client.resume_task(task)
    return await read_task(request, task)


@router.get(
    "/{task:path}", response_model=DeclaredTask, responses={200: openapi.answer("The task.", examples.TASK), **_REFUSED}
)
async def read_task(request: Request, task: Name) -> Json:
    """Show a task as the newest worker declared it."""
    return Json(await state_of(request).client.task(task))
