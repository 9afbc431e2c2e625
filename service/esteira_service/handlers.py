"""Every exception becomes a problem here."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from esteira.errors import EsteiraError
from esteira_service.problems import KINDS, InputError, Refusal, invalid, json_pointer, problem, refusal_of

log = structlog.get_logger()


def add_handlers(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Make the application answer with problems only; `routes` tell which methods a path takes."""

    async def refused(_request: Request, error: Refusal) -> Response:
        return problem(error)

    async def failed(request: Request, error: EsteiraError) -> Response:
        refusal = refusal_of(error)
        if KINDS[refusal.code].status >= 500:
            log.error("request_failed", method=request.method, path=request.url.path, error=str(error))
        return problem(refusal)

    async def misrouted(request: Request, error: HTTPException) -> Response:
        return problem(_misrouted(request, error, routes))

    async def unexpected(_request: Request, _error: Exception) -> Response:
        return problem(Refusal("INTERNAL_ERROR", KINDS["INTERNAL_ERROR"].example))

    app.exception_handler(Refusal)(refused)
    app.exception_handler(EsteiraError)(failed)
    app.exception_handler(ClientDisconnect)(_gone)
    app.exception_handler(RequestValidationError)(_invalid_parameters)
    app.exception_handler(HTTPException)(misrouted)
    app.exception_handler(Exception)(unexpected)


async def _gone(_request: Request, _error: ClientDisconnect) -> Response:
    """Answer nobody: the client hung up in the middle of its body, and nothing was stored."""
    return Response(status_code=400)


async def _invalid_parameters(_request: Request, error: RequestValidationError) -> Response:
    return problem(invalid([_input_error(**fault) for fault in error.errors()]))


def _input_error(loc: Sequence[int | str], msg: str, **_: object) -> InputError:
    if loc[0] == "body":
        return InputError(pointer=json_pointer(loc[1:]), detail=msg)
    return InputError(parameter=str(loc[1]), detail=msg)


def _misrouted(request: Request, error: HTTPException, routes: Sequence[APIRoute]) -> Refusal:
    path = request.url.path
    if error.status_code == 404:
        return Refusal("NOT_FOUND", f"There is nothing at {path}. The routes are listed at /docs.")
    if error.status_code == 405:
        # Starlette names the methods of the first route that has this path only.
        here = [route.methods or () for route in routes if route.path_regex.match(path)]
        allow = ", ".join(sorted({method for methods in here for method in methods}))
        return Refusal("METHOD_NOT_ALLOWED", f"{path} takes {allow}, not {request.method}.", headers={"Allow": allow})
    raise error
