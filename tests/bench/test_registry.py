from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import registry
from bench.program import payload

FOLDER = Path(registry.__file__).parent


@pytest.mark.parametrize("folder", ["systems", "scenarios"])
def test_every_file_is_registered(folder: str) -> None:
    known = registry.systems() if folder == "systems" else registry.scenarios()
    assert set(known) == {file.stem for file in (FOLDER / folder).glob("*.py")} - {"__init__"}


def test_scenarios_are_called_as_their_files_are_and_systems_leave_out_only_such() -> None:
    scenarios = registry.scenarios()
    assert [scenario.name for scenario in scenarios.values()] == list(scenarios)
    for system in registry.systems().values():
        assert set(system.cannot) <= set(scenarios)


@pytest.mark.parametrize("size", [100, 10_000, 500_000])
def test_payloads_have_the_size_that_was_asked_for(size: int) -> None:
    for number in (0, 7, 999_999):
        assert size * 0.9 <= len(json.dumps(payload(number, size=size))) <= size
