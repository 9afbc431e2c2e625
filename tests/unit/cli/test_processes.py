from __future__ import annotations

import json
import os
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tests.roles import ROLES, account, as_account

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.settings import Settings
    from tests.postgres import PostgresServer

    Esteira = Callable[..., Any]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What service and worker are started with; neither is."""
    settings: list[Settings] = []
    for package, function in (("esteira_service", "run_service"), ("esteira_worker", "run_worker")):
        module = ModuleType(package)
        setattr(module, function, lambda given: settings.append(given) or 3)
        monkeypatch.setitem(sys.modules, package, module)
    return settings


def migrate(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "esteira.cli", "migrate", *options]
    environment = {**os.environ, "ESTEIRA_DATABASE_URL": url}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_options_of_the_worker_win_over_the_environment(esteira: Esteira, given: list[Settings]) -> None:
    options = ("--queues", "a,b", "--queues", "c", "--processes", 2, "--slots", 4, "--drain", "1m30s")
    answer = esteira("worker", "--tasks", "shop.tasks", *options, ESTEIRA_SLOTS="99", ESTEIRA_TASKS="other")
    assert answer.code == 3
    [settings] = given
    assert settings.tasks == ("shop.tasks",)
    assert settings.queues == ("a", "b", "c")
    assert (settings.processes, settings.slots, settings.drain_seconds) == (2, 4, 90)


def test_what_no_option_says_the_environment_says(esteira: Esteira, given: list[Settings]) -> None:
    esteira("worker", ESTEIRA_TASKS="shop.tasks, shop.more", ESTEIRA_QUEUES="slow")
    assert (given[0].tasks, given[0].queues, given[0].slots) == (("shop.tasks", "shop.more"), ("slow",), 10)


@pytest.mark.parametrize("tasks", [["a", "b", "c"], ["a,b", "--tasks", "c"], ["a", "--tasks", "b,c"]])
def test_task_modules_are_written_in_any_usual_way(esteira: Esteira, given: list[Settings], tasks: list[str]) -> None:
    esteira("worker", "--tasks", *tasks)
    assert set(given[0].tasks) == {"a", "b", "c"}


def test_modules_without_their_option_are_refused(esteira: Esteira, given: list[Settings]) -> None:
    answer = esteira("worker", "shop.tasks")
    assert answer.code == 2
    assert "--tasks shop.tasks" in answer.err
    assert given == []


def test_the_service_listens_where_it_is_told(esteira: Esteira, given: list[Settings]) -> None:
    assert esteira("serve", "--port", 9000, ESTEIRA_HOST="::1").code == 0
    assert (given[0].host, given[0].port) == ("::1", 9000)


def test_migrate_says_from_where_to_where(empty_database_url: str) -> None:
    done = migrate(empty_database_url)
    assert (done.returncode, done.stdout) == (0, "the schema was missing, and is at version 0001 now\n")
    assert migrate(empty_database_url).stdout == "the schema is at version 0001 already\n"
    assert json.loads(migrate(empty_database_url, "--json").stdout) == {"before": "0001", "after": "0001"}


def test_roles_prints_what_makes_them(esteira: Esteira) -> None:
    answer = esteira("roles", ESTEIRA_DATABASE_URL=None)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.endswith(ROLES.read_text())


def test_migrate_as_an_account_that_may_not_says_in_one_sentence_which_one_may(
    empty_database_url: str, postgres_server: PostgresServer
) -> None:
    with account(postgres_server.admin_url) as (name, password):
        done = migrate(as_account(empty_database_url, name, password))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (5, "", 1)
    assert "permission denied for database" in done.stderr
    assert "grant create on database" in done.stderr


def test_migrate_without_a_server_says_so_in_one_sentence() -> None:
    done = migrate("postgresql://nobody@127.0.0.1:1/none")
    assert (done.returncode, done.stdout) == (5, "")
    assert "the database cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1
