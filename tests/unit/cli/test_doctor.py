from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Esteira = Callable[..., Any]


def test_a_problem_is_shown_with_what_to_do_and_ends_with_its_code(esteira: Esteira, empty_database_url: str) -> None:
    answer = esteira("doctor", ESTEIRA_DATABASE_URL=empty_database_url)
    assert answer.code == 1
    lines = [line.strip() for line in answer.out.splitlines()]
    assert "✗ schema        the database has no Esteira schema" in lines
    assert "→ esteira migrate" in lines
    assert "problem" in lines[-1]


def test_all_findings_are_json(esteira: Esteira) -> None:
    answer = esteira("doctor", "--json")
    assert {"check", "level", "detail", "action"} == answer.json[0].keys()
    has_problem = any(finding["level"] == "problem" for finding in answer.json)
    assert answer.code == (1 if has_problem else 0)


def test_a_database_that_does_not_answer_is_a_problem(esteira: Esteira) -> None:
    answer = esteira("doctor", "--database-url", "postgresql://nobody@127.0.0.1:1/none")
    assert answer.code == 1
    assert "cannot be reached" in answer.out


def test_without_a_database_doctor_says_how_to_name_one(esteira: Esteira) -> None:
    answer = esteira("doctor", ESTEIRA_DATABASE_URL=None)
    assert (answer.code, answer.out) == (2, "")
