"""The deployment files satisfy their own checkers and keep the promises that no checker knows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAMS / command[0], *command[1:]], capture_output=True, text=True, check=False)


def hadolint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    return run("hadolint", "--failure-threshold", "style", dockerfile)


def compose_schema(compose: Path) -> subprocess.CompletedProcess[str]:
    return run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", compose)


def seconds(duration: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([sm])", duration).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


@pytest.fixture
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    linted = hadolint(ROOT / "Dockerfile")
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [('ENTRYPOINT ["esteira"]', "ENTRYPOINT esteira", "DL3025"), ("USER 10001:10001", "USER root", "DL3002")],
)
def test_hadolint_finds_a_shell_before_the_process_and_a_root_user(
    tmp_path: Path, good: str, bad: str, rule: str
) -> None:
    broken = tmp_path / "Dockerfile"
    broken.write_text((ROOT / "Dockerfile").read_text().replace(good, bad))
    assert rule in hadolint(broken).stdout


def test_the_compose_file_follows_the_compose_specification() -> None:
    checked = compose_schema(ROOT / "docker-compose.yml")
    assert checked.returncode == 0, checked.stdout


def test_the_compose_specification_finds_a_misspelt_key(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text((ROOT / "docker-compose.yml").read_text().replace("depends_on:", "depend_on:"))
    assert compose_schema(broken).returncode != 0


def test_only_loopback_is_published_while_the_service_has_no_authentication(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"service": ["127.0.0.1:8000:8000"], "example": ["127.0.0.1:8001:8001"]}


def test_everything_waits_for_the_schema_and_the_schema_for_the_database(compose: dict[str, Any]) -> None:
    conditions = {name: service.get("depends_on") for name, service in compose["services"].items()}
    migrated = {"migrate": {"condition": "service_completed_successfully"}}
    healthy = {"postgres": {"condition": "service_healthy"}}
    ours = dict.fromkeys(("service", "worker", "example"), migrated)
    assert conditions == {"postgres": None, "migrate": healthy, **ours}


def test_a_worker_is_given_longer_to_stop_than_it_drains(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    drain = worker["command"][worker["command"].index("--drain") + 1]
    assert seconds(worker["stop_grace_period"]) > seconds(drain)


def test_all_processes_of_ours_use_one_database(compose: dict[str, Any]) -> None:
    ours = [service for service in compose["services"].values() if "build" in service]
    assert len(ours) == 4
    assert len({service["environment"]["ESTEIRA_DATABASE_URL"] for service in ours}) == 1


def test_the_commit_hooks_are_valid_and_need_no_other_repository() -> None:
    hooks = ROOT / ".pre-commit-config.yaml"
    assert run("pre-commit", "validate-config", hooks).returncode == 0
    assert {repository["repo"] for repository in yaml.safe_load(hooks.read_text())["repos"]} == {"local"}


def test_constraints_pin_versions_and_name_no_place_to_fetch_them_from() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", pin)] == []
    assert len(pins) > 50
