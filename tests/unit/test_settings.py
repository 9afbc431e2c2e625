from __future__ import annotations

import pytest

from esteira.errors import ConfigurationError
from esteira.settings import read_settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "TASKS", "QUEUES", "PORT", "HOST", "LOG_LEVEL", "SLOTS"):
        monkeypatch.delenv(f"ESTEIRA_{name}", raising=False)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_DATABASE_URL", "postgresql://h/d")
    monkeypatch.setenv("ESTEIRA_PORT", "9000")
    settings = read_settings()
    assert (settings.require_database_url(), settings.port, settings.host) == ("postgresql://h/d", 9000, "127.0.0.1")


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_TASKS", "shop.tasks, shop.reports,")
    monkeypatch.setenv("ESTEIRA_QUEUES", "")
    settings = read_settings()
    assert (settings.tasks, settings.queues) == (("shop.tasks", "shop.reports"), ())


def test_an_empty_variable_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_PORT", "")
    assert read_settings().port == 8000


def test_an_override_wins_over_the_environment_unless_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_SLOTS", "7")
    assert read_settings(slots=3).slots == 3
    assert read_settings(slots=None).slots == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "high"), ("PORT", "70000"), ("SLOTS", "0"), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml")],
)
def test_an_error_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ESTEIRA_{name}", value)
    with pytest.raises(ConfigurationError, match=f"^ESTEIRA_{name}: "):
        read_settings()


def test_an_error_in_a_list_names_the_variable_too() -> None:
    with pytest.raises(ConfigurationError, match=r"^ESTEIRA_TASKS: "):
        read_settings(tasks=["a", 1])


def test_a_missing_database_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="set ESTEIRA_DATABASE_URL=postgresql://"):
        read_settings().require_database_url()
