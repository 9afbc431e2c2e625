"""Routes that refuse what they do not know."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from esteira_service.problems import InputError, invalid

MAX_WAIT_SECONDS = 50

Wait = Annotated[
    float,
    Query(
        ge=0,
        le=MAX_WAIT_SECONDS,
        allow_inf_nan=False,
        description="Answer when the job has ended, or after so many seconds.",
    ),
]


class StrictRoute(APIRoute):
    """Refuse query parameters that the route does not declare, instead of ignoring them.

    The endpoint takes the request first, returns a Response, and has a default for every query parameter.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what is called for a request."""
        solve = super().get_route_handler()
        call: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        known = {parameter.alias for parameter in self.dependant.query_params}
        in_path = bool(self.dependant.path_params)

        async def handle(request: Request) -> Response:
            if request.scope["query_string"]:
                _refuse_unknown(request, known)
            elif not in_path:
                # Without parameters there is nothing for FastAPI to solve: a fifth of the time of a POST.
                return await call(request)
            return await solve(request)

        return handle


class Json(Response):
    """JSON as pydantic writes it: integers of any length stay exact."""

    media_type = "application/json"

    def render(self, content: BaseModel) -> bytes:
        """Write the body."""
        return content.model_dump_json().encode()


def _refuse_unknown(request: Request, known: set[str]) -> None:
    unknown = sorted(request.query_params.keys() - known)
    if unknown:
        detail = f"unknown parameter; known here: {', '.join(sorted(known)) or 'none'}"
        raise invalid([InputError(parameter=name, detail=detail) for name in unknown])
