from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esteira.errors import DatabaseUnavailable
from esteira_service.problems import KINDS, json_pointer, phrase

if TYPE_CHECKING:
    import httpx

    from esteira_service.state import State


def check(answer: httpx.Response, status: int, code: str) -> None:
    problem = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["status"], problem["code"], problem["title"]) == (status, code, phrase(status))
    assert problem["detail"]
    assert KINDS[code].status == status


async def test_an_unknown_path_is_a_problem(http: httpx.AsyncClient) -> None:
    check(await http.get("/v1/job"), 404, "NOT_FOUND")
    check(await http.get("/v1/jobs/"), 404, "NOT_FOUND")


async def test_a_method_that_a_path_does_not_take_is_a_problem_that_names_all_it_takes(http: httpx.AsyncClient) -> None:
    answer = await http.delete("/v1/jobs")
    check(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, POST"
    # These are no ids.
    for act in ("cancel", "retry", "discard", "batch"):
        answer = await http.patch(f"/v1/jobs/{act}")
        check(answer, 405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == "POST"


async def test_input_is_a_problem_with_every_error(http: httpx.AsyncClient) -> None:
    check(await http.post("/v1/jobs", json={}), 422, "INVALID_INPUT")
    check(await http.get("/v1/jobs?limit=0"), 422, "INVALID_INPUT")


async def test_a_database_that_is_away_is_a_503_that_tells_no_secrets(
    http: httpx.AsyncClient, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise DatabaseUnavailable("connection to 10.0.0.7 as esteira refused")

    monkeypatch.setattr(state.client, "enqueue_each", away)
    answer = await http.post("/v1/jobs", json={"task": "a.b"})
    check(answer, 503, "DATABASE_UNAVAILABLE")
    assert answer.headers["retry-after"] == "2"
    assert "10.0.0.7" not in answer.text


async def test_what_nobody_foresaw_is_a_500_that_tells_no_secrets(
    http: httpx.AsyncClient, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(state.client, "queues", broken)
    answer = await http.get("/v1/queues")
    check(answer, 500, "INTERNAL_ERROR")
    assert "hunter2" not in answer.text


async def test_a_missing_schema_is_a_503_that_says_what_to_run(http: httpx.AsyncClient, state: State) -> None:
    await state.client.database.fetch("drop schema esteira cascade")
    answer = await http.get("/v1/queues")
    check(answer, 503, "SCHEMA_MISMATCH")
    assert "esteira migrate" in answer.json()["detail"]


def test_a_pointer_escapes_what_pointers_are_made_of() -> None:
    assert json_pointer(["retry", "a/b", "c~d", 0]) == "/retry/a~1b/c~0d/0"
    assert json_pointer([]) == ""
