"""Read a request's body: bounded in size and time, of the right type, and with nothing that Postgres cannot store."""

from __future__ import annotations

import asyncio
import re
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from esteira_service.problems import KINDS, InputError, Refusal, invalid, json_pointer
from esteira_service.protocol import ARRIVED
from esteira_service.unknown import unknown_field
from esteira_service.unstorable import MAX_DEPTH, find_unstorable, find_unstorable_text, nesting

M = TypeVar("M", bound=BaseModel)

MAX_BYTES = 1 << 20
DEADLINE_SECONDS = 30.0
# Nothing that Postgres refuses can stand in a body without one of these, or without so many brackets. Looking for them
# costs a fraction of what walking through every value does.
_SUSPECT = re.compile(rb"\\u0000|NaN|Infinity|[0-9][eE]\+?[0-9]{3}")


async def read_model(request: Request, model: type[M]) -> M:
    """Read the body as this model.

    Refuses with MALFORMED_JSON, REQUEST_TIMEOUT, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE or INVALID_INPUT.
    """
    return parse(await read_body(request), model)


async def read_body(request: Request, limit: int = MAX_BYTES, seconds: float | None = None) -> bytes:
    """Read a body of JSON, but no more than so many bytes of it, whatever its Content-Length says, and not for ever."""
    _check_media_type(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limit:
        raise _too_large(limit)
    if ARRIVED in request.scope.get("extensions", ()):
        # Without a timer: 8 % more POSTs a second.
        return await _receive(request, limit)
    seconds = seconds or DEADLINE_SECONDS
    try:
        async with asyncio.timeout(seconds):
            return await _receive(request, limit)
    except TimeoutError:
        # What else may still come would be taken for the next request.
        detail = f"The request did not arrive within {seconds:g} s, and nothing was stored. Send it again."
        raise Refusal("REQUEST_TIMEOUT", detail, headers={"Connection": "close"}) from None


async def _receive(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def parse(body: bytes, model: type[M]) -> M:
    """Read JSON as this model; integers stay exact."""
    try:
        value = model.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(body, error, model) from None
    if _may_be_too_deep(body) or _SUSPECT.search(body):
        faults = find_unstorable(from_json(body))
        if faults:
            raise invalid(faults)
    return value


def _may_be_too_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > MAX_DEPTH and nesting(body) > MAX_DEPTH


def _check_media_type(request: Request) -> None:
    # A page from elsewhere can make a browser send a form or a text to this machine, but not JSON.
    given = request.headers.get("content-type", "")
    if given == "application/json":
        return
    media_type = given.partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/(.+\+)?json", media_type):
        raise Refusal("UNSUPPORTED_MEDIA_TYPE", KINDS["UNSUPPORTED_MEDIA_TYPE"].example)


def _too_large(limit: int) -> Refusal:
    detail = f"The body is larger than {limit >> 20} MiB. Store large data elsewhere and send its address."
    return Refusal("PAYLOAD_TOO_LARGE", detail)


def _refusal(body: bytes, error: ValidationError, model: type[BaseModel]) -> Refusal:
    faults = error.errors(include_url=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        # It may be sound JSON all the same, with a value that the strict reader gives up on.
        unstorable = find_unstorable_text(body)
        if unstorable:
            return invalid(unstorable)
        return Refusal("MALFORMED_JSON", f"The body is no JSON: {faults[0]['ctx']['error']}.")
    return invalid([_input_error(model, **fault) for fault in faults])


def _input_error(
    model: type[BaseModel],
    type: str,  # noqa: A002 - pydantic's
    loc: tuple[int | str, ...],
    msg: str,
    **_: object,
) -> InputError:
    if type == "extra_forbidden":
        msg = unknown_field(model, loc)
    return InputError(pointer=json_pointer(loc), detail=msg.removeprefix("Value error, "))
