"""What the documentation at /docs and /openapi.json says beyond the routes themselves."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from esteira_service.changes import JobChange
from esteira_service.exposure import NO_AUTHENTICATION
from esteira_service.filters import ManyRequest
from esteira_service.problems import KINDS, MEDIA_TYPE, Problem, phrase
from esteira_service.requests import BatchRequest, JobRequest, QueueSettings

DESCRIPTION = f"""\
A durable task queue on PostgreSQL alone: post a job, get its id at once, ask how it is.

**{NO_AUTHENTICATION}**

Every error is `application/problem+json` (RFC 9457) with a `code` that stays the same between versions.
Fields and parameters that this version does not know are refused, not ignored.
"""

# The problems of every route that reads a body.
BODY = ("MALFORMED_JSON", "REQUEST_TIMEOUT", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "INVALID_INPUT")
_REF = "#/components/schemas/{model}"


def answer(
    description: str, example: Any, *, model: type[BaseModel] | None = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Document an answer that is no problem; `headers` by name, with what they say."""
    described = {name: {"description": text, "schema": {"type": "string"}} for name, text in (headers or {}).items()}
    return {
        "description": description,
        # As text until the document is made: FastAPI leaves every null out.
        "content": {"application/json": {"example": json.dumps(example)}},
        **({"model": model} if model else {}),
        **({"headers": described} if described else {}),
    }


def not_modified() -> dict[str, Any]:
    """Document a 304."""
    etag = {"description": "As it was sent.", "schema": {"type": "string"}}
    return {"description": "It is still as it was.", "headers": {"ETag": etag}}


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Document the problems that a route answers with, beside those of every route."""
    documented: dict[int | str, dict[str, Any]] = {}
    for code in (*codes, "INTERNAL_ERROR", "DATABASE_UNAVAILABLE"):
        status, detail = KINDS[code].status, KINDS[code].example
        example = {"code": code, "title": phrase(status), "status": status, "detail": detail}
        if code == "INVALID_INPUT":
            example["errors"] = [{"pointer": "/retry/attempts", "detail": "Input should be greater than or equal to 1"}]
        content = documented.setdefault(status, _problem_answer(status))["content"][MEDIA_TYPE]
        content["examples"][code] = {"value": example}
    return documented


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """Document the body of a request that the route reads by itself."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def header(name: str, description: str) -> dict[str, Any]:
    """Document a header that the route reads by itself."""
    schema = {"type": "string", "minLength": 1}
    return {"parameters": [{"name": name, "in": "header", "description": description, "schema": schema}]}


def add_schemas(app: FastAPI) -> None:
    """Add the models that the documentation refers to and that FastAPI does not see."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _, definitions = models_json_schema(
                [
                    (JobRequest, "validation"),
                    (BatchRequest, "validation"),
                    (JobChange, "validation"),
                    (ManyRequest, "validation"),
                    (QueueSettings, "validation"),
                    (Problem, "serialization"),
                ],
                ref_template=_REF,
            )
            document = made()
            document["components"]["schemas"].update(definitions["$defs"])
            _read_examples(document)
        return made()

    app.openapi = openapi  # type: ignore[method-assign]


def _read_examples(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            for documented in operation["responses"].values():
                content = documented.get("content", {}).get("application/json")
                if content is not None:
                    content["example"] = json.loads(content["example"])


def _problem_answer(status: int) -> dict[str, Any]:
    documented: dict[str, Any] = {
        "description": phrase(status),
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}, "examples": {}}},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        documented["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
    return documented
