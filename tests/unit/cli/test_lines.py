from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from esteira.cli import lines

if TYPE_CHECKING:
    from collections.abc import Callable

    Esteira = Callable[..., Any]
    Psql = Callable[..., str]

PAYLOADS = "select string_agg(payload::text, ' ' order by id) from esteira.jobs"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BATCH", 2)


@pytest.mark.usefixtures("worker")
def test_each_line_is_a_job_with_the_options_of_all(esteira: Esteira, psql: Psql) -> None:
    answer = esteira("enqueue", "t", "--lines", "-", "--queue", "q", stdin='{"a": 1}\n\n[2]\n3')
    assert (answer.code, answer.err) == (0, "esteira: 3 lines: 3 enqueued\n")
    assert [str(UUID(line)) for line in answer.out.splitlines()] == psql(
        "select id from esteira.jobs order by id"
    ).split()
    assert psql(PAYLOADS) == '{"a": 1} [2] 3'
    assert psql("select distinct queue from esteira.jobs") == "q"


def test_lines_come_from_a_file(esteira: Esteira, psql: Psql, tmp_path: Any) -> None:
    file = tmp_path / "payloads.jsonl"
    file.write_text("1\n2\n3\n")
    answer = esteira("enqueue", "t", "--lines", file, "--json")
    told = [json.loads(line) for line in answer.out.splitlines()]
    assert [(line["line"], line["outcome"]) for line in told] == [(1, "enqueued"), (2, "enqueued"), (3, "enqueued")]
    assert psql(PAYLOADS) == "1 2 3"


def test_a_bad_line_is_named_and_all_before_it_are_enqueued(esteira: Esteira, psql: Psql) -> None:
    answer = esteira("enqueue", "t", "--lines", "-", stdin="1\n2\n3\n{4\n5\n")
    assert answer.code == 2
    assert "line 4 is not JSON" in answer.err
    assert "from there on nothing is enqueued" in answer.err
    assert psql(PAYLOADS) == "1 2 3"


def test_what_cannot_be_stored_names_where_nothing_is_enqueued_from(esteira: Esteira, psql: Psql) -> None:
    answer = esteira("enqueue", "t", "--lines", "-", stdin='1\n2\n3\n"\\u0000"\n')
    assert answer.code == 2
    assert "from line 3 on nothing is enqueued" in answer.err
    assert psql(PAYLOADS) == "1 2"


def test_with_an_idempotency_key_the_same_lines_go_on_where_they_were(esteira: Esteira, psql: Psql) -> None:
    command = ("enqueue", "t", "--lines", "-", "--idempotency-key", "import")
    first = esteira(*command, stdin="1\n2\n{3\n")
    assert first.code == 2
    second = esteira(*command, stdin="1\n2\n3\n")
    assert second.code == 0
    assert second.err.endswith("esteira: 3 lines: 2 enqueued before, 1 enqueued\n")
    assert second.out.splitlines()[:2] == first.out.splitlines()
    assert psql(PAYLOADS) == "1 2 3"


def test_a_line_that_was_another_is_refused_and_the_rest_goes_on(esteira: Esteira, psql: Psql) -> None:
    command = ("enqueue", "t", "--lines", "-", "--idempotency-key", "import")
    first = esteira(*command, stdin="1\n2\n").out.splitlines()
    answer = esteira(*command, stdin="1\n20\n3\n")
    assert answer.code == 8
    assert f"line 2 is refused: job {first[1]} used its idempotency key before" in answer.err
    assert psql(PAYLOADS) == "1 2 3"


@pytest.mark.parametrize("more", [["{}", "--wait"], ["[1]"], ["--unique-key", "k"]])
def test_options_of_one_job_do_not_go_with_lines(esteira: Esteira, psql: Psql, more: list[str]) -> None:
    answer = esteira("enqueue", "t", *more, "--lines", "-", stdin="1\n")
    assert (answer.code, answer.out) == (2, "")
    assert psql("select count(*) from esteira.jobs") == "0"
