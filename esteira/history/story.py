"""One job's whole story, or a worker's, as lines that people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from esteira.history.events import Life, Row
from esteira.history.evidence import Evidence

OF_WORKER = """
select clock, operation, beats, missed_ticks, drain_at, stopped_at, lost_at
from esteira_history.worker where worker_id = $1 and number <= $2
order by number desc limit 20
"""


def story(life: Life) -> list[str]:
    """Tell a job's life by the clocks: the server's for what was recorded, its writers' for the ledger's lines."""
    lines = [f"{_time(when)}  {what}" for when, _, what in sorted(_events(life), key=lambda event: event[:2])]
    lines += [f"effect of {_part(effect.attempt, effect.step)}" for effect in life.effects]
    lines += [f"now {row.status}: {_counts(row)}" for row in life.rows]
    return [f"task {life.task}", *lines, *([] if life.rows else ["now there is no such job"])]


async def story_of_worker(evidence: Evidence, worker_id: UUID, number: int) -> Sequence[str]:
    """Tell the last twenty things that happened to a worker."""
    rows = reversed(await evidence.rows(OF_WORKER, worker_id, number))
    return [f"{_time(row['clock'])}  {_worker(row)}" for row in rows]


def _events(life: Life) -> Iterator[tuple[datetime, int, str]]:
    for move in life.moves:
        yield move.clock, move.number, f"#{move.number} {move}"
    for note in life.notes:
        yield note.clock, note.number, f"#{note.number} {note}"
    for line in life.lines:
        yield line.at, 0, str(line)


def _counts(row: Row) -> str:
    return ", ".join(f"{name} {getattr(row, name)}" for name in ("attempt", "failures", "crashes", "generation"))


def _part(attempt: int, step: str | None) -> str:
    return f"attempt {attempt}" if step is None else f'the step "{step}" in attempt {attempt}'


def _worker(row: Any) -> str:
    end = next((name for name in ("lost", "stopped", "drain") if row[f"{name}_at"] is not None), None)
    facts = f"beats {row['beats']}, missed ticks {row['missed_ticks']}"
    return f"{'registered' if row['operation'] == 'INSERT' else 'changed'}: {facts}{f', {end}' if end else ''}"


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%H:%M:%S.%f}"
