from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from esteira import __version__
from esteira.cli.exits import MEANINGS, Exit, code_of, sentence
from esteira.errors import (
    Changed,
    DatabaseUnavailable,
    EsteiraError,
    IdempotencyMismatch,
    IllegalTransition,
    InvalidInput,
    JobNotFound,
    KeyInFlight,
    PermissionDenied,
    SchemaMismatch,
    UniqueConflict,
    UnknownTask,
    UnknownWorker,
)
from esteira.rights import GRANT
from tests.roles import ROLES, account, as_account

if TYPE_CHECKING:
    from collections.abc import Callable

    Esteira = Callable[..., Any]

COMMANDS = (
    *(
        "dev",
        "serve",
        "worker",
        "migrate",
        "roles",
        "enqueue",
        "status",
        "jobs",
        "explain",
        "cancel",
        "retry",
        "discard",
        "edit",
    ),
    *("queues", "pause", "resume", "purge", "keep", "tasks", "workers", "drain", "doctor"),
)
HEAVY = "fastapi uvicorn alembic esteira_service esteira_worker esteira_migrations esteira.embedded"


def test_help_lists_every_command_and_every_exit_code(esteira: Esteira) -> None:
    out = esteira("--help", COLUMNS="120").out
    for command in COMMANDS:
        assert f" {command} " in out
    for code in Exit:
        assert f"{code.value:>3}  {MEANINGS[code]}" in out
    assert "bool" not in out


def test_the_version_is_told(esteira: Esteira) -> None:
    answer = esteira("--version")
    assert (answer.code, answer.out) == (0, f"esteira {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(esteira: Esteira, command: str) -> None:
    answer = esteira(command, "--help")
    assert answer.code == 0
    assert f"Usage: esteira {command}" in answer.out
    assert "bool" not in answer.out


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (JobNotFound, 3),
        (UnknownTask, 3),
        (UnknownWorker, 3),
        (DatabaseUnavailable, 5),
        (SchemaMismatch, 5),
        (PermissionDenied, 5),
        (InvalidInput, 2),
        (UniqueConflict, 8),
        (IdempotencyMismatch, 8),
        (KeyInFlight, 8),
        (Changed, 8),
        (EsteiraError, 5),
    ],
)
def test_every_error_has_an_exit_code(kind: type[EsteiraError], code: int) -> None:
    assert code_of(kind("no")) == code


def test_what_to_do_next_names_the_job(esteira: Esteira) -> None:
    job = esteira("enqueue", "t").out.strip()
    answer = esteira("retry", job)
    assert answer.code == 4
    assert answer.err.endswith(f": `esteira status {job}` shows it\n")


def test_what_to_do_next_stands_by_itself_after_many_lines() -> None:
    error = IllegalTransition("job 0197c1d2-5b7e-7cc3-98c4-dc0c0c07398f is dead: first\nlast.")
    assert sentence(error).splitlines()[1:] == [
        "last.",
        "`esteira status 0197c1d2-5b7e-7cc3-98c4-dc0c0c07398f` shows it",
    ]


def test_a_mistyped_command_is_answered_with_the_near_one(esteira: Esteira) -> None:
    answer = esteira("cancle")
    assert answer.code == 2
    assert "Did you mean 'cancel'?" in answer.err


def test_a_database_that_does_not_answer_is_reported_in_one_sentence(esteira: Esteira) -> None:
    answer = esteira("workers", "--database-url", "postgresql://nobody@127.0.0.1:1/none")
    assert (answer.code, answer.out) == (5, "")
    assert "check that PostgreSQL runs and that ESTEIRA_DATABASE_URL names it" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_database_without_the_schema_says_what_to_run(esteira: Esteira, empty_database_url: str) -> None:
    answer = esteira("jobs", "--json", ESTEIRA_DATABASE_URL=empty_database_url)
    assert (answer.code, answer.out) == (5, "")
    assert "esteira migrate" in answer.err


def test_an_account_that_lacks_a_right_says_what_to_grant(
    esteira: Esteira, database_url: str, run_psql: Callable[..., str]
) -> None:
    run_psql(database_url, "--single-transaction", "-f", ROLES)
    with account(database_url, "esteira_reader") as (name, password):
        url = as_account(database_url, name, password)
        answers = [esteira(*command, ESTEIRA_DATABASE_URL=url) for command in (["jobs"], ["enqueue", "t"])]
    assert [(answer.code, GRANT in answer.err, len(answer.err.splitlines())) for answer in answers] == [
        (0, False, 0),
        (5, True, 1),
    ]


@pytest.mark.parametrize("command", [["jobs"], ["serve"], ["worker", "--tasks", "shop"], ["migrate"]])
def test_without_a_database_a_command_says_how_to_name_one(esteira: Esteira, command: list[str]) -> None:
    answer = esteira(*command, ESTEIRA_DATABASE_URL=None)
    assert (answer.code, answer.out) == (2, "")
    assert "set ESTEIRA_DATABASE_URL=postgresql://" in answer.err


def test_a_setting_that_makes_no_sense_is_named(esteira: Esteira) -> None:
    answer = esteira("jobs", ESTEIRA_SLOTS="many")
    assert answer.code == 2
    assert "ESTEIRA_SLOTS" in answer.err


def test_the_command_line_starts_without_what_only_some_commands_need() -> None:
    script = f"import sys, esteira.cli; print(*[name for name in {HEAVY.split()} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout == "\n"
