from __future__ import annotations

from pathlib import Path

from mypy import api

ROOT = Path(__file__).parents[2]


def test_mypy_sees_the_types_of_calls_handles_and_results() -> None:
    out, problems, code = api.run(
        ["--config-file", str(ROOT / "pyproject.toml"), str(Path(__file__).parent / "typed.py")]
    )
    assert (out, problems, code) == ("Success: no issues found in 1 source file\n", "", 0)
