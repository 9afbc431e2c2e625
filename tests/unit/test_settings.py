from __future__ import annotations

import pytest

from esteira.errors import ConfigurationError
from esteira.settings import read_settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DIRECT_URL", "TASKS", "QUEUES", "PORT", "HOST", "LOG_LEVEL", "SLOTS"):
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


@pytest.mark.parametrize(
    ("name", "says"),
    [("LOG_LEVEL", "debug, info, warning, error or critical"), ("LOG_FORMAT", "auto, console or json")],
)
def test_a_word_is_answered_with_those_there_are(monkeypatch: pytest.MonkeyPatch, name: str, says: str) -> None:
    monkeypatch.setenv(f"ESTEIRA_{name}", "foo")
    with pytest.raises(ConfigurationError, match=f"^ESTEIRA_{name}: {says}"):
        read_settings()


def test_an_error_in_a_list_names_the_variable_too() -> None:
    with pytest.raises(ConfigurationError, match=r"^ESTEIRA_TASKS: "):
        read_settings(tasks=["a", 1])


def test_a_missing_database_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="set ESTEIRA_DATABASE_URL=postgresql://"):
        read_settings().require_database_url()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:sekret#x@127.0.0.1:5432/x",
        "postgresql://u:sekret/x@127.0.0.1/x",
        "postgresql://u:sekret?x@h/x",
        "postgresql://u:sekret@h:port/x",
        "postgresql://u:sekret@[::1/x",
        "mysql://u:sekret@h/x",
        "sekret",
    ],
)
def test_an_address_that_no_driver_reads_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="percent codes") as refused:
        read_settings(database_url=url).require_database_url()
    assert "sekret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%23@h:5432/d",
        "postgres://h",
        "postgresql:///d?host=/run/postgresql",
        "postgresql://[::1]:5432/d",
        "postgresql://u@a:1,b:2/d?target_session_attrs=read-write",
        "postgresql://u@h?connect_timeout=3",
    ],
)
def test_an_address_of_any_usual_form_is_taken(url: str) -> None:
    assert read_settings(database_url=url).require_database_url() == url


def test_the_way_past_a_pooler_is_the_databases_own_address_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_DATABASE_URL", "postgresql://pooler/d")
    assert read_settings().require_direct_url() == "postgresql://pooler/d"
    monkeypatch.setenv("ESTEIRA_DIRECT_URL", "postgresql://h/d")
    assert read_settings().require_direct_url() == "postgresql://h/d"
    monkeypatch.setenv("ESTEIRA_DIRECT_URL", "h/d")
    with pytest.raises(ConfigurationError, match=r"^ESTEIRA_DIRECT_URL is to be of the form"):
        read_settings().require_direct_url()


def test_a_database_that_is_named_is_not_reached_by_the_environments_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_DIRECT_URL", "postgresql://h/d")
    assert read_settings(database_url="postgresql://h/other").require_direct_url() == "postgresql://h/other"
