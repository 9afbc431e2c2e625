from __future__ import annotations

import pytest
import structlog

from esteira.database.outage import Outage


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> structlog.testing.LogCapture:
    capture = structlog.testing.LogCapture()
    monkeypatch.setattr("esteira.database.outage.log", structlog.wrap_logger(None, processors=[capture]))
    return capture


def words(told: structlog.testing.LogCapture) -> list[str]:
    return [entry["event"] for entry in told.entries]


def test_an_outage_is_one_line_and_its_end_another(told: structlog.testing.LogCapture) -> None:
    outage = Outage()
    for _ in range(5):
        for what in ("tick", "claim"):
            outage.failed(what, OSError("refused"))
    assert words(told) == ["database_away"]
    assert told.entries[0]["error"] == "refused"
    outage.succeeded("tick")
    outage.succeeded("listener")
    assert words(told) == ["database_away"]
    outage.succeeded("claim")
    outage.succeeded("claim")
    assert words(told) == ["database_away", "database_back"]
    outage.failed("claim", TimeoutError())
    assert told.entries[-1]["error"] == "TimeoutError"


def test_a_long_outage_is_repeated_seldom(told: structlog.testing.LogCapture, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = Outage()
    for now in (1000.0, 1059.0, 1060.0, 1061.0, 1120.0):
        monkeypatch.setattr("time.monotonic", lambda now=now: now)
        outage.failed("tick", OSError("refused"))
    assert words(told) == ["database_away", "database_still_away", "database_still_away"]
    assert told.entries[-1]["away_seconds"] == 120
