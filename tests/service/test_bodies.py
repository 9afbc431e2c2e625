from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira_service import bodies
from esteira_service.bodies import MAX_BYTES, parse
from esteira_service.problems import Refusal
from esteira_service.requests import JobRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx

JSON = {"content-type": "application/json"}
NESTED_100 = "[" * 100 + "]" * 100
NESTED_101 = "[" * 101 + "]" * 101


def in_payload(text: str) -> str:
    return f'{{"task": "a.b", "payload": {text}}}'


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        (r'"\u0000"', "/payload"),
        (r'{"x": ["a", "b\u0000"]}', "/payload/x/1"),
        (r'{"\u0000": 1}', "/payload"),
        (r'"\ud800"', "/payload"),
        (r'{"x": "\udc00 and more"}', "/payload/x"),
        (r'{"x": {"\ud800": 1}}', "/payload/x"),
        ("NaN", "/payload"),
        ('{"x": [Infinity]}', "/payload/x/0"),
        ("-Infinity", "/payload"),
        ("1e999", "/payload"),
        ("[-1E+400]", "/payload/0"),
        ("9" * 5000, "/payload"),
        (f'{{"x": -{"9" * 5000}}}', "/payload/x"),
        (NESTED_101, "/payload"),
        ("[" * 400 + "]" * 400, "/payload"),
        ("[" * 100_000 + "]" * 100_000, ""),
    ],
)
async def test_what_postgres_cannot_store_is_refused_with_its_place(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], payload: str, pointer: str
) -> None:
    answer = await http.post("/v1/jobs", content=in_payload(payload), headers=JSON)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await db.fetchval("select count(*) from esteira.job") == 0


@pytest.mark.parametrize("field", ["metadata", "tags"])
async def test_metadata_and_tags_are_looked_through_as_well(http: httpx.AsyncClient, field: str) -> None:
    value = r'{"k": "\u0000"}' if field == "metadata" else r'["\u0000"]'
    answer = await http.post("/v1/jobs", content=f'{{"task": "a.b", "{field}": {value}}}', headers=JSON)
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "/metadata/k" if field == "metadata" else "/tags/0"
    ]


@pytest.mark.parametrize(
    "payload",
    [NESTED_100, r'"\\u0000"', '"NaN and Infinity"', '"1e999"', r'"\ud83d\ude00"', '"\U0001f600 é"', "9" * 4300, "[]"],
)
async def test_what_only_looks_like_it_is_stored_exactly(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], payload: str
) -> None:
    answer = await http.post("/v1/jobs", content=in_payload(payload), headers=JSON)
    assert answer.status_code == 202
    assert answer.json()["payload"] == json.loads(payload)
    assert json.loads(await db.fetchval("select payload from esteira.job")) == json.loads(payload)


@pytest.mark.parametrize("body", ["", "{", '{"task": "a.b"} {}', '{"task": "\x01"}', "\ufeff{}", b'{"task": "\xff"}'])
async def test_what_is_no_json_is_a_400(http: httpx.AsyncClient, body: str | bytes) -> None:
    answer = await http.post("/v1/jobs", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["code"] == "MALFORMED_JSON"


async def test_json_that_is_no_object_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", json=[])
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [""]


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_a_body_of_another_type_is_a_415(http: httpx.AsyncClient, media_type: str | None) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    answer = await http.post("/v1/jobs", content=b'{"task": "a.b"}', headers=headers)
    assert answer.status_code == 415
    assert answer.json()["code"] == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/cloud+json"]
)
async def test_json_by_another_name_is_read(http: httpx.AsyncClient, media_type: str) -> None:
    answer = await http.post("/v1/jobs", content=b'{"task": "a.b"}', headers={"content-type": media_type})
    assert answer.status_code == 202


def body_of(size: int) -> bytes:
    empty = len(in_payload('""'))
    return in_payload('"' + "x" * (size - empty) + '"').encode()


async def test_a_body_of_one_mebibyte_is_stored(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", content=body_of(MAX_BYTES), headers=JSON)
    assert answer.status_code == 202
    assert len(answer.json()["payload"]) > MAX_BYTES - 100


async def test_a_byte_more_is_a_413(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", content=body_of(MAX_BYTES + 1), headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["code"] == "PAYLOAD_TOO_LARGE"


async def test_a_body_without_a_length_is_measured_while_it_comes(http: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 4 * MAX_BYTES:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    answer = await http.post("/v1/jobs", content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert sent <= MAX_BYTES + 2 * (1 << 16)


async def test_a_length_that_says_too_little_is_not_believed(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", content=body_of(MAX_BYTES + 1), headers={**JSON, "content-length": "10"})
    assert answer.status_code == 413


async def test_a_body_that_does_not_come_in_time_is_a_408(
    http: httpx.AsyncClient, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "DEADLINE_SECONDS", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"task": '
        await asyncio.Event().wait()

    answer = await http.post("/v1/jobs", content=slow(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (408, "REQUEST_TIMEOUT")
    assert answer.headers["connection"] == "close"
    assert await db.fetchval("select count(*) from esteira.job") == 0


@pytest.mark.parametrize("body", ['{"task": "a.b", "task": "c.d"}', '{"task": "c.d", "payload": 1, "payload": {}}'])
async def test_of_a_name_that_is_there_twice_the_last_value_counts(http: httpx.AsyncClient, body: str) -> None:
    answer = await http.post("/v1/jobs", content=body, headers=JSON)
    assert (answer.json()["task"], answer.json()["payload"]) == ("c.d", {})
    read = await http.get(answer.headers["location"])
    assert (read.json()["task"], read.json()["payload"]) == ("c.d", {})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


@given(VALUES)
def test_any_document_is_either_kept_or_refused_as_input(value: Any) -> None:
    body = json.dumps({"task": "a.b", "payload": value}).encode()
    suspect = any(sign in body for sign in (b"\\u0000", b"\\ud", b"NaN", b"Infinity"))
    try:
        kept = json.loads(parse(body, JobRequest).new_job().payload)
    except Refusal as refusal:
        kept = refusal.code
    assert kept == value or (suspect and kept == "INVALID_INPUT")


async def test_the_largest_double_is_stored(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", content=in_payload("1.7976931348623157e308"), headers=JSON)
    assert answer.status_code == 202
    assert answer.json()["payload"] == 1.7976931348623157e308


@pytest.mark.parametrize(
    ("method", "path", "body", "place", "meant"),
    [
        ("POST", "/v1/jobs", {"task": "a.b", "delay": 5}, "/delay", "delay_seconds"),
        ("POST", "/v1/jobs", {"task": "a.b", "prio": 5}, "/prio", "priority"),
        ("POST", "/v1/jobs", {"task": "a.b", "retry": {"attempt": 5}}, "/retry/attempt", "attempts"),
        ("POST", "/v1/jobs", {"task": "a.b", "callback": "http://x"}, "/callback", None),
        ("POST", "/v1/jobs/batch", {"job": []}, "/job", "jobs"),
        ("POST", "/v1/jobs/batch", {"jobs": [], "atomically": True}, "/atomically", "atomic"),
        ("PATCH", "/v1/jobs/01976d3c-5a5e-7c3a-9d2e-0b6f6a1f2b3c", {"tag": ["x"]}, "/tag", "tags"),
        ("POST", "/v1/jobs/cancel", {"filter": {"tags": ["bulk"]}}, "/filter/tags", "tag"),
        ("POST", "/v1/jobs/cancel", {"filter": {"queue": "q"}, "dryrun": True}, "/dryrun", "dry_run"),
        ("PUT", "/v1/queues/q", {"keep_finished": 5}, "/keep_finished", "keep_finished_seconds"),
        ("GET", "/v1/jobs?tags=bulk", None, "tags", "tag"),
        ("GET", "/v1/queues?limit=5", None, "limit", None),
    ],
)
async def test_an_unknown_name_is_answered_with_those_that_there_are(
    http: httpx.AsyncClient, method: str, path: str, body: Any, place: str, meant: str | None
) -> None:
    answer = await http.request(method, path, json=body) if body is not None else await http.request(method, path)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert place in (error.get("pointer"), error.get("parameter"))
    assert error["detail"].startswith("unknown ")
    assert "known here: " in error["detail"]
    assert ("did you mean" in error["detail"], f"did you mean {meant}?" in error["detail"]) == (meant is not None,) * 2
