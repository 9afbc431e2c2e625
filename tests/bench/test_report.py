from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.measured import Measured, as_json


@pytest.fixture
def found() -> dict[str, Any]:
    measured = [
        Measured("drain", "one process", "jobs/s", "more", "esteira", [60_000, 50_000]),
        Measured("drain", "one process", "jobs/s", "more", "peer", [20_000, 25_000]),
        Measured("drain", "WAL", "bytes/job", "less", "peer", [1234.5]),
    ]
    return {
        "scale": "short",
        "at": "2026-01-01T00:00:00Z",
        "machine": {"cores": 2, "memory_gb": 8, "system": "Linux", "python": "3.11"},
        "postgres": {"version": "PostgreSQL 18", "settings": {"fsync": "on"}},
        "systems": [{"name": name, "version": "1", "settings": "as it is"} for name in ("esteira", "peer")],
        "scenarios": {"drain": "Drain"},
        "figures": as_json(measured),
        "missing": [{"system": "other", "scenario": "all", "why": "not\ninstalled"}],
    }


def test_a_row_has_medians_and_how_many_times_better_ours_is(found: dict[str, Any]) -> None:
    assert list(report.rows(found, ["esteira", "peer"])) == [
        ("Drain: one process, jobs/s", ["55,000", "22,500 (2.50 \N{MULTIPLICATION SIGN})"]),
        ("Drain: WAL, bytes/job", ["-", "1,234"]),
    ]


def test_a_later_part_fills_in_what_an_earlier_one_did_not_get_to(found: dict[str, Any]) -> None:
    later = {
        **found,
        "scenarios": {"steady": "Steady"},
        "figures": as_json([Measured("steady", "p50", "ms", "less", "esteira", [2.0])]),
        "missing": [],
    }
    earlier = {**found, "missing": [{"system": "esteira", "scenario": "steady", "why": "stuck"}]}
    whole = report.together([earlier, later])
    assert [title for title, _ in report.rows(whole, ["esteira"])] == [
        "Drain: one process, jobs/s",
        "Drain: WAL, bytes/job",
        "Steady: p50, ms",
    ]
    assert whole["missing"] == []
    assert list(report.rows(report.together([later, earlier]), [])) == list(report.rows(whole, []))
    assert report.together([later, {**found, "figures": []}])["figures"] == later["figures"]
    with pytest.raises(SystemExit, match="different sizes"):
        report.together([found, {**found, "scale": "full"}])


def test_the_page_gets_the_table_between_its_marks_and_keeps_the_rest(found: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    full = "<!-- measured, full: begin -->\nkept\n<!-- measured, full: end -->\n"
    page.write_text(f"before\n{full}<!-- measured, short: begin -->\nold\n<!-- measured, short: end -->\nafter\n")
    report.write_docs(found, page)
    text = page.read_text()
    assert text.startswith(f"before\n{full}")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| Drain: one process, jobs/s | 55,000 |" in text
    assert "- other, all: not installed" in text
    assert (tmp_path / "performance-short-drain-one-process.svg").read_text().startswith("<?xml")
    report.write_docs(found, page)
    assert page.read_text() == text


def test_a_run_of_a_part_does_not_replace_a_whole_one_unless_told_to(
    found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[Any] = []
    monkeypatch.setattr(report, "write_docs", written.append)
    file = tmp_path / "some.json"
    file.write_text(json.dumps(found))
    with pytest.raises(SystemExit):
        report.main([str(file), "--docs"])
    assert "enqueue" in (told := capsys.readouterr().err)
    assert "pg-boss" in told
    assert "recovery" not in told, "no short run has that"
    assert written == []
    report.main([str(file), "--docs", "--incomplete"])
    assert written == [report.together([found])]
    with pytest.raises(SystemExit):
        report.main([str(tmp_path / "none.json")])
    assert "there is no" in capsys.readouterr().err


def test_a_page_without_marks_is_refused(found: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("nothing")
    with pytest.raises(SystemExit, match="no place"):
        report.write_docs(found, page)
