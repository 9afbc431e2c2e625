from __future__ import annotations

import asyncpg
import psycopg
import pytest

from esteira.database.patience import is_worth_another_try
from esteira.database.sqlstates import connection_lost, translate, translated
from esteira.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    EsteiraError,
    IllegalTransition,
    InvalidInput,
    JobGone,
    JobNotFound,
    PermissionDenied,
    SchemaMismatch,
)


def postgres(state: str, message: str = "said so") -> BaseException:
    error = asyncpg.PostgresError(message)
    error.sqlstate = state
    return error


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (postgres("ES001"), JobNotFound),
        (postgres("ES002"), IllegalTransition),
        (postgres("ES004"), InvalidInput),
        (postgres("ES005"), JobGone),
        (postgres("08006"), DatabaseUnavailable),
        (postgres("28P01"), DatabaseUnavailable),
        (postgres("3D000"), DatabaseUnavailable),
        (postgres("53300"), DatabaseUnavailable),
        (postgres("57P01"), DatabaseUnavailable),
        (postgres("57014"), DatabaseUnavailable),
        (postgres("25006"), DatabaseUnavailable),
        (postgres("22P02"), InvalidInput),
        (postgres("23514"), InvalidInput),
        (postgres("23502"), InvalidInput),
        (postgres("42P01"), SchemaMismatch),
        (postgres("3F000"), SchemaMismatch),
        (postgres("42501"), PermissionDenied),
        (postgres("42601"), None),
        (postgres("23505"), InvalidInput),
        (asyncpg.InterfaceError("connection is closed"), DatabaseUnavailable),
        (asyncpg.InterfaceError("pool is closing"), DatabaseUnavailable),
        (asyncpg.InterfaceError("the server expects 1 argument"), None),
        (asyncpg.InternalClientError("another operation is in progress"), DatabaseUnavailable),
        (psycopg.InternalError("received 2 results from command 'COMMIT'"), DatabaseUnavailable),
        (asyncpg.exceptions.ClientConfigurationError("invalid DSN"), ConfigurationError),
        (psycopg.OperationalError("the connection is closed"), DatabaseUnavailable),
        (psycopg.DataError("NUL"), InvalidInput),
        (psycopg.ProgrammingError("cannot adapt"), None),
        (ConnectionRefusedError("refused"), DatabaseUnavailable),
        (TimeoutError(), DatabaseUnavailable),
        (KeyError("bug"), None),
    ],
)
def test_each_error_means_what_it_means(error: BaseException, ours: type[EsteiraError] | None) -> None:
    assert type(translate(error)) is (ours or type(None))


def test_only_the_first_line_is_told_and_the_cause_is_kept() -> None:
    with pytest.raises(InvalidInput, match=r"^first$") as refused, translated():
        raise postgres("22P02", "first\nsecond")
    assert isinstance(refused.value.__cause__, asyncpg.PostgresError)


def test_an_error_without_words_is_told_by_its_name() -> None:
    with pytest.raises(DatabaseUnavailable, match=r"^TimeoutError$"), translated():
        raise TimeoutError


def test_a_bug_shows_as_what_it_is() -> None:
    with pytest.raises(asyncpg.PostgresError), translated():
        raise postgres("42601")


def test_around_the_statements_of_others_only_a_lost_connection_is_ours() -> None:
    with pytest.raises(DatabaseUnavailable), connection_lost():
        raise postgres("57P01")
    for theirs in (postgres("22P02"), postgres("42P01"), psycopg.DataError("x"), OSError("disk"), TimeoutError("web")):
        with pytest.raises(type(theirs)), connection_lost():
            raise theirs


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_is_sent_again_follows_from_error_and_patience(wrapped: bool) -> None:  # noqa: FBT001
    def worth(error: BaseException, patience: float) -> bool:
        if wrapped:
            ours = translate(error) or EsteiraError("?")
            ours.__cause__ = error
            error = ours
        return is_worth_another_try(error, patience)

    for state in ("40001", "40P01", "55P03"):
        assert worth(postgres(state), 0)
    assert worth(postgres("57P01"), 5)
    assert not worth(postgres("57P01"), 0)
    assert not worth(postgres("22P02"), 5)
    assert not worth(KeyError("bug"), 5)
