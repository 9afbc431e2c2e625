"""Jobs and endings as they cross to a child process and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from esteira.running import Claimed
from esteira_worker.endings import Completed, Ending, Failed, Lost, Settled, Snoozed

_KINDS: dict[str, type[Completed | Failed | Settled | Lost]] = {
    kind.__name__: kind for kind in (Completed, Failed, Settled, Lost)
}


def claimed_fields(job: Claimed) -> dict[str, Any]:
    """Return a job as JSON values."""
    return {**asdict(job), "id": str(job.id)}


def claimed_from(message: dict[str, Any]) -> Claimed:
    """Read a job."""
    fields = {name: value for name, value in message.items() if name != "kind"}
    return Claimed(**{**fields, "id": UUID(fields["id"])})


def ending_message(ending: Ending) -> dict[str, Any]:
    """Return an ending as JSON values."""
    if isinstance(ending, Snoozed):
        return {"ending": "Snoozed", "delay": ending.delay.total_seconds()}
    return {"ending": type(ending).__name__, **asdict(ending)}


def ending_from(message: dict[str, Any]) -> Ending:
    """Read an ending."""
    fields = dict(message)
    kind = fields.pop("ending")
    if kind == "Snoozed":
        return Snoozed(timedelta(seconds=fields["delay"]))
    return _KINDS[kind](**fields)
