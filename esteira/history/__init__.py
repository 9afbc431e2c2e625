"""A history that can be checked: what happened to every job is recorded, and held against what is promised.

    await start(database)                       # from here on every change of every job is recorded
    report = await check(database, ledger="ledger")
    await stop(database)                        # and nothing of it is left

- recorder.sql, recorder.py: triggers in a schema of their own, esteira_history
- ledger.py: what clients and handlers saw, in a file outside the database
- events.py, story.py: what was recorded, one job's life, and how it is told
- evidence.py: all that is looked at, in one snapshot
- invariants/: the rules, a class each
- checker.py, report.py: the check, and what it found
"""

from __future__ import annotations

from esteira.history.checker import check
from esteira.history.evidence import Effects
from esteira.history.ledger import Attempt, Ledger, Line, Request, read
from esteira.history.recorder import recording_since, start, stop
from esteira.history.report import Report, Violation

__all__ = [
    "Attempt",
    "Effects",
    "Ledger",
    "Line",
    "Report",
    "Request",
    "Violation",
    "check",
    "read",
    "recording_since",
    "start",
    "stop",
]
