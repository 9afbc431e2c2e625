"""Errors as programs and people are told them: application/problem+json (RFC 9457), each with a code that stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Response
from pydantic import BaseModel, Field

from esteira.errors import (
    Changed,
    DatabaseUnavailable,
    EsteiraError,
    IdempotencyMismatch,
    IllegalTransition,
    InvalidInput,
    JobGone,
    JobNotFound,
    KeyInFlight,
    PermissionDenied,
    SchemaMismatch,
    UniqueConflict,
    UnknownTask,
    UnknownWorker,
)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its HTTP status, and a detail as the documentation's example."""

    status: int
    example: str


KINDS: dict[str, Kind] = {
    "MALFORMED_REQUEST": Kind(400, "This is no HTTP request: see RFC 9112."),
    "MALFORMED_JSON": Kind(400, "The body is no JSON: EOF while parsing a value at line 1 column 0."),
    "NOT_FOUND": Kind(404, "There is nothing at /v1/job. The routes are listed at /docs."),
    "JOB_NOT_FOUND": Kind(404, "no job 01976d3c-5a5e-7c3a-9d2e-0b6f6a1f2b3c"),
    "QUEUE_NOT_FOUND": Kind(404, 'nothing is known of a queue "billing": no job, no task, no setting'),
    "TASK_NOT_FOUND": Kind(404, 'no worker has declared the task "billing.fulfil"'),
    "WORKER_NOT_FOUND": Kind(404, "no worker 01976d3b-0000-7000-8000-000000000001 is there to be drained"),
    "METHOD_NOT_ALLOWED": Kind(405, "/v1/queues takes GET, not POST."),
    "REQUEST_TIMEOUT": Kind(408, "The request did not arrive within 30 s, and nothing was stored. Send it again."),
    "ILLEGAL_TRANSITION": Kind(409, "job 01976d3c-… is completed, so there is nothing to cancel"),
    "JOB_DEAD": Kind(409, "The job is dead, so there is no result: ValueError: no such customer"),
    "JOB_CANCELLED": Kind(409, "The job was cancelled, so there is no result: expired"),
    "RESULT_NOT_STORED": Kind(409, "The job completed, but its result could not be stored: it has no JSON form"),
    "IDEMPOTENCY_IN_FLIGHT": Kind(
        409, "another request with this idempotency key is about to be stored; ask again in a moment"
    ),
    "UNIQUE_IN_FLIGHT": Kind(409, "another job with this unique key is about to be stored; ask again in a moment"),
    "UNIQUE_CONFLICT": Kind(409, 'job 01976d3c-… has the unique key "order-1", and so has a live job of its task'),
    "JOB_GONE": Kind(410, "job 01976d3c-… is gone: jobs are kept for 7 days after their end"),
    "CHANGED": Kind(412, "job 01976d3c-… has changed meanwhile"),
    "PAYLOAD_TOO_LARGE": Kind(413, "The body is larger than 1 MiB. Store large data elsewhere and send its address."),
    "UNSUPPORTED_MEDIA_TYPE": Kind(415, "Send the job as JSON, with the header Content-Type: application/json."),
    "INVALID_INPUT": Kind(422, "The request is not valid: see errors."),
    "IDEMPOTENCY_MISMATCH": Kind(
        422, "the idempotency key was used for another request, answered by job 01976d3c-…; take a new key"
    ),
    "HEAD_TOO_LARGE": Kind(431, "The path and the headers are larger than 64 KiB together."),
    "INTERNAL_ERROR": Kind(500, "Something went wrong that should not have. The service's log has the details."),
    "DATABASE_UNAVAILABLE": Kind(
        503, "The database cannot be reached. A change that was asked for may or may not have been stored."
    ),
    "DATABASE_FORBIDS": Kind(
        503,
        "permission denied for function enqueue_many, for the account that is logged in to the database:"
        " grant it esteira_service or esteira_worker, which `esteira roles` makes",
    ),
    "SCHEMA_MISMATCH": Kind(503, "the database has no Esteira schema; make it with: esteira migrate"),
}
_CODES: dict[type[EsteiraError], str] = {
    JobGone: "JOB_GONE",
    JobNotFound: "JOB_NOT_FOUND",
    IllegalTransition: "ILLEGAL_TRANSITION",
    UniqueConflict: "UNIQUE_CONFLICT",
    IdempotencyMismatch: "IDEMPOTENCY_MISMATCH",
    KeyInFlight: "IDEMPOTENCY_IN_FLIGHT",
    Changed: "CHANGED",
    UnknownTask: "TASK_NOT_FOUND",
    UnknownWorker: "WORKER_NOT_FOUND",
    DatabaseUnavailable: "DATABASE_UNAVAILABLE",
    PermissionDenied: "DATABASE_FORBIDS",
    SchemaMismatch: "SCHEMA_MISMATCH",
}


class InputError(BaseModel):
    """One thing wrong with the input, and where: in the body, a parameter of path or query, or a header."""

    pointer: str | None = Field(None, description="Where in the body: a JSON Pointer (RFC 6901).")
    parameter: str | None = Field(None, description="Which parameter of the path or the query.")
    header: str | None = Field(None, description="Which header.")
    detail: str


class Problem(BaseModel):
    """What went wrong."""

    code: str = Field(description="For programs: it stays.", json_schema_extra={"enum": list(KINDS)})
    title: str = Field(description="The phrase of the HTTP status.")
    status: int
    detail: str = Field(description="For people: what is wrong, and what to do.")
    errors: list[InputError] | None = Field(None, description="For input: everything that is wrong with it.")


class Refusal(Exception):
    """End a request with a problem."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[InputError] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers


def invalid(errors: Sequence[InputError]) -> Refusal:
    """Refuse input, saying everything that is wrong with it."""
    return Refusal("INVALID_INPUT", KINDS["INVALID_INPUT"].example, errors=errors)


def phrase(status: int) -> str:
    """Return the phrase of a status as RFC 9110 has it, whatever the version of Python."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(status) or HTTPStatus(status).phrase


def json_pointer(location: Iterable[int | str]) -> str:
    """Write a place in a JSON document as a JSON Pointer; "" is the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def described(refusal: Refusal) -> Problem:
    """Say it as programs and people are told."""
    status = KINDS[refusal.code].status
    errors = None if refusal.errors is None else list(refusal.errors)
    return Problem(code=refusal.code, title=phrase(status), status=status, detail=refusal.detail, errors=errors)


def problem(refusal: Refusal) -> Response:
    """Write the answer."""
    content = described(refusal)
    headers = dict(refusal.headers or {})
    if content.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", "2")
    elif refusal.code.endswith("_IN_FLIGHT"):
        headers.setdefault("Retry-After", "1")
    return Response(content.model_dump_json(exclude_none=True), content.status, headers, MEDIA_TYPE)


def refusal_of(error: EsteiraError) -> Refusal:
    """Say in HTTP what one of Esteira's exceptions means."""
    if isinstance(error, InvalidInput):
        return invalid([InputError(pointer="", detail=str(error))])
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "INTERNAL_ERROR")
    # What a driver says of a lost connection names hosts and accounts: that is for the log.
    quiet = code in ("DATABASE_UNAVAILABLE", "INTERNAL_ERROR")
    return Refusal(code, KINDS[code].example if quiet else str(error))
