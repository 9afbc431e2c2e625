from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, TypeAdapter

from esteira.job import Explanation
from esteira.overview import DeclaredTask, Queue
from esteira.settings import Settings
from esteira_service import create_app
from esteira_service.models import (
    AttemptList,
    BatchView,
    Draining,
    Health,
    JobPage,
    JobView,
    ManyActed,
    ManyCancelled,
    Purged,
    QueueList,
    Stats,
    StepList,
    TaskList,
    WorkerList,
)
from esteira_service.problems import KINDS, Problem
from esteira_service.requests import JobRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model
    for model in (
        JobView,
        BatchView,
        JobPage,
        StepList,
        AttemptList,
        Explanation,
        QueueList,
        WorkerList,
        Health,
        Problem,
        ManyActed,
        ManyCancelled,
        Purged,
        Queue,
        TaskList,
        DeclaredTask,
        Draining,
        Stats,
    )
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    # Documenting needs no database.
    return create_app(Settings()).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def answers(document: dict[str, Any]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            yield f"{method} {path}", int(status), answer


def test_it_is_openapi_3_1_and_says_that_there_is_no_authentication(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert "no authentication yet" in document["info"]["description"]


def test_the_routes_are_those_of_the_interface(document: dict[str, Any]) -> None:
    assert {f"{method} {path}" for path, method, _ in operations(document)} == {
        "post /v1/jobs", "post /v1/jobs/batch", "get /v1/jobs", "get /v1/jobs/{job_id}", "get /v1/jobs/{job_id}/steps",
        "get /v1/jobs/{job_id}/attempts", "get /v1/jobs/{job_id}/explain", "post /v1/jobs/{job_id}/cancel",
        "post /v1/jobs/{job_id}/retry", "post /v1/jobs/{job_id}/discard", "get /v1/jobs/{job_id}/result",
        "patch /v1/jobs/{job_id}", "delete /v1/jobs/{job_id}", "post /v1/jobs/cancel", "post /v1/jobs/retry",
        "post /v1/jobs/discard", "get /v1/queues", "get /v1/queues/{queue}", "put /v1/queues/{queue}",
        "post /v1/queues/{queue}/pause",
        "post /v1/queues/{queue}/resume", "post /v1/queues/{queue}/purge", "get /v1/tasks", "get /v1/tasks/{task}",
        "post /v1/tasks/{task}/pause", "post /v1/tasks/{task}/resume", "get /v1/workers",
        "post /v1/workers/{worker_id}/drain", "get /v1/stats", "get /livez", "get /readyz",
    }  # fmt: skip


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    names = {part.split('"', 1)[0] for part in text.split('"#/components/schemas/')[1:]}
    assert {"JobRequest", "RetryRequest", "Problem", "InputError", "JobView"} <= names
    assert names <= document["components"]["schemas"].keys()
    assert text.count('"$ref"') == text.count('"#/components/schemas/')


def test_every_answer_has_an_example_of_its_model(document: dict[str, Any]) -> None:
    for where, status, answer in answers(document):
        if status in (204, 304):
            assert "content" not in answer, where
            continue
        [(media_type, content)] = answer["content"].items()
        assert media_type == ("application/json" if status < 400 else "application/problem+json"), where
        if "$ref" not in content["schema"]:
            continue
        model = MODELS[content["schema"]["$ref"].rsplit("/", 1)[1]]
        examples = [content["example"]] if status < 400 else [shown["value"] for shown in content["examples"].values()]
        for example in examples:
            shown = model.model_validate(example)
            known = TypeAdapter(model).dump_python(shown, mode="json", exclude_unset=True)
            assert known.keys() == example.keys(), where


def test_every_problem_is_documented_under_its_own_status(document: dict[str, Any]) -> None:
    seen = set()
    for _, status, answer in answers(document):
        for content in answer.get("content", {}).values():
            for code in content.get("examples", {}):
                assert KINDS[code].status == status
                seen.add(code)
    # These belong to no route.
    assert seen == KINDS.keys() - {"NOT_FOUND", "METHOD_NOT_ALLOWED", "MALFORMED_REQUEST", "HEAD_TOO_LARGE"}


def test_every_route_documents_that_it_may_be_refused(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        assert {"422", "500", "503"} <= operation["responses"].keys(), path
        assert operation["description"]


def test_the_body_of_a_new_job_is_documented_with_examples_that_are_accepted(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/JobRequest"}
    schema = document["components"]["schemas"]["JobRequest"]
    assert schema["additionalProperties"] is False
    for example in schema["examples"]:
        JobRequest.model_validate_json(json.dumps(example))
