"""The reference of the HTTP interface, from the service's own OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from scripts.docs.markdown import block, code, heading, page, table

VERBS = ("get", "put", "post", "patch", "delete")
Schema = dict[str, Any]


def http_page(document: dict[str, Any]) -> str:
    """Write every route and every model of an OpenAPI document."""
    tags = dict.fromkeys(operation["tags"][0] for *_, operation in operations(document))
    return page(
        "# HTTP reference",
        document["info"]["description"],
        "The service itself answers with this document at `/openapi.json`. The [guide](../http.md) says how to use it.",
        *(part for tag in tags for part in (f"## {tag.capitalize()}", *_routes(document, tag))),
        "## Models",
        *(part for name, schema in sorted(_models(document).items()) for part in _model(name, schema)),
    )


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give every verb, path and operation."""
    for path, verbs in document["paths"].items():
        for verb in VERBS:
            if verb in verbs:
                yield verb.upper(), path, verbs[verb]


def _routes(document: dict[str, Any], tag: str) -> Iterator[str]:
    for verb, path, operation in operations(document):
        if operation["tags"][0] == tag:
            yield heading(3, f"{verb} {path}", operation["operationId"])
            yield operation.get("description", "")
            yield table(("parameter", "in", "type", ""), map(_parameter, operation.get("parameters", ())))
            yield _body(operation)
            yield table(("answer", "body", ""), (_answer(*each) for each in operation["responses"].items()))


def _parameter(parameter: dict[str, Any]) -> tuple[str, ...]:
    name = code(parameter["name"]) + (", required" if parameter.get("required") else "")
    return name, parameter["in"], _type(parameter["schema"]), parameter.get("description", "")


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    return "\n\n".join(f"Body: {_type(body['schema'])}, as {code(media)}." for media, body in content.items())


def _answer(status: str, response: dict[str, Any]) -> tuple[str, ...]:
    bodies = dict.fromkeys(_type(body["schema"]) for body in response.get("content", {}).values() if "schema" in body)
    codes = [code(name) for body in response.get("content", {}).values() for name in body.get("examples", ())]
    headers = [f"{code(name)}: {header['description']}" for name, header in response.get("headers", {}).items()]
    return status, ", ".join(bodies), "; ".join([", ".join(codes) or response["description"].rstrip("."), *headers])


def _models(document: dict[str, Any]) -> dict[str, Schema]:
    schemas: dict[str, Schema] = document["components"]["schemas"]
    return schemas


def _model(name: str, schema: Schema) -> Iterator[str]:
    yield heading(3, name, name.lower())
    yield schema.get("description", "")
    required = schema.get("required", ())
    fields = schema.get("properties", {}).items()
    yield table(
        ("field", "type", ""),
        ((code(field) + (", required" if field in required else ""), _type(of), _about(of)) for field, of in fields),
    )
    for example in schema.get("examples", ()):
        yield block("json", json.dumps(example, indent=2, ensure_ascii=False))


def _about(schema: Schema) -> str:
    default = schema.get("default")
    said = schema.get("description", "")
    return said if default is None else f"{said} Default: {code(json.dumps(default))}."


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "enum" in schema:
        return ", ".join(code(str(value)) for value in schema["enum"])
    if "const" in schema:
        return code(str(schema["const"]))
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    return " ".join([schema.get("type", "anything"), *_limits(schema)])


def _limits(schema: Schema) -> list[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<", "maxLength": "length ≤"}
    limits = [f"{sign} {schema[name]:g}" for name, sign in signs.items() if name in schema]
    return limits + [
        schema[name] if name == "format" else code(schema[name]) for name in ("format", "pattern") if name in schema
    ]
