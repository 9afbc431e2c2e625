"""Routes that refuse what they do not know."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Annotated, Any, get_args, get_origin

from fastapi import Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.convertors import Convertor, register_url_convertor

from esteira_service.problems import InputError, invalid
from esteira_service.unknown import unknown

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


class _JobId(Convertor[str]):
    """Whatever stands for a job in a path, but not the words that act on many."""

    regex = "(?!(?:batch|cancel|retry|discard)$)[^/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("job", _JobId())


class StrictRoute(APIRoute):
    """Refuse query parameters that the route does not declare, or that are given twice, instead of ignoring them.

    The endpoint takes the request first, returns a Response, and has a default for every query parameter and header.
    """

    # Parameters that begin so are the endpoint's own affair.
    prefix: str | None = None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what is called for a request."""
        solve = super().get_route_handler()
        call: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        declared = self.dependant.query_params
        known = {parameter.alias for parameter in declared}
        # What pydantic reads as one value would be the last of several.
        single = {
            parameter.alias
            for parameter in self.dependant.query_params
            if not _is_list(parameter.field_info.annotation)
        }
        solved = bool(self.dependant.path_params or self.dependant.header_params)

        async def handle(request: Request) -> Response:
            if request.path_params:
                _refuse_nul(request.path_params.items())
            if request.scope["query_string"]:
                _refuse_unknown(request, known, self.prefix)
                _refuse_repeated(request, single)
                _refuse_nul(request.query_params.multi_items())
            elif not solved:
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


def _is_list(annotation: Any) -> bool:
    return any(get_origin(part) is list for part in (annotation, *get_args(annotation)))


def _refuse_unknown(request: Request, known: set[str], prefix: str | None) -> None:
    strange = sorted(request.query_params.keys() - known)
    if prefix is not None:
        strange = [name for name in strange if not name.startswith(prefix)]
    if strange:
        names = [*sorted(known), *([f"{prefix}KEY"] if prefix else [])]
        raise invalid([InputError(parameter=name, detail=unknown("parameter", name, names)) for name in strange])


def _refuse_repeated(request: Request, single: set[str]) -> None:
    repeated = sorted(name for name in single if len(request.query_params.getlist(name)) > 1)
    if repeated:
        raise invalid([InputError(parameter=name, detail="give it once") for name in repeated])


def _refuse_nul(values: Iterable[tuple[str, str]]) -> None:
    wrong = [name for name, value in values if "\0" in name or "\0" in value]
    if wrong:
        detail = "PostgreSQL cannot store the character NUL"
        raise invalid([InputError(parameter=name.replace("\0", "?"), detail=detail) for name in wrong])
