"""What was recorded: each kind of row of esteira_history, and one job's whole life put together of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from esteira.history.ledger import Line
from esteira.job import FINAL

# What `operation` is once a delete and an insert were folded: the job changed its partition.
MOVE = "MOVE"
# … and of what ran already when recording began.
SEEN = "SEEN"


class Transition(NamedTuple):
    """A change of a job's row. What was is None where there was no row, what is where there is none any more."""

    number: int
    xid: int
    at: datetime
    clock: datetime
    session: str
    operation: str
    job_id: UUID
    task: str
    queue: str
    old_status: str | None
    old_attempt: int | None
    old_generation: int | None
    old_worker_id: UUID | None
    old_engine: int | None
    status: str | None
    reason: str | None
    attempt: int | None
    failures: int | None
    crashes: int | None
    generation: int | None
    worker_id: UUID | None
    engine: int | None
    run_at: datetime | None
    ready_at: datetime | None
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_claim(self) -> bool:
        """Whether an attempt begins with it."""
        return self.status == "running" and (self.old_status != "running" or self.attempt != self.old_attempt)

    @property
    def is_removal(self) -> bool:
        """Whether the job is gone with it."""
        return self.status is None

    def __str__(self) -> str:
        if self.is_removal:
            return f"removed ({self.old_status}) by {self.session}"
        what = f"{self.old_status} → {self.status}" if self.old_status != self.status else f"{self.status}, changed"
        facts = [f"attempt {self.attempt}"]
        facts += [f"{name} {getattr(self, name)}" for name in ("failures", "crashes") if getattr(self, name)]
        facts += [f"generation {self.generation}"] if self.generation != 1 else []
        facts += [self.reason] if self.reason else []
        facts += [f"worker {self.worker_id}/{self.engine}"] if self.status == "running" else []
        facts += [f"ready at {self.ready_at:%H:%M:%S.%f}"] if self.status == "queued" and self.ready_at else []
        return f"{what if self.old_status else f'enqueued, {self.status}'}: {', '.join(facts)} (by {self.session})"


class Note(NamedTuple):
    """Something that was written beside the job: an attempt's outcome, a step, a request to cancel."""

    number: int
    xid: int
    clock: datetime
    session: str
    kind: str
    job_id: UUID
    attempt: int
    name: str | None

    def __str__(self) -> str:
        what = {
            "attempt": f"attempt {self.attempt} {self.name}",
            "step": f'step "{self.name}" of attempt {self.attempt}',
        }
        return f"{what.get(self.kind, f'asked to stop in attempt {self.attempt}')} (by {self.session})"


class Row(NamedTuple):
    """A job's row as it is now."""

    job_id: UUID
    task: str
    status: str
    attempt: int
    failures: int
    crashes: int
    generation: int
    finished_at: datetime | None


class Effect(NamedTuple):
    """A row that a handler wrote in its transaction. step: None where it came with the completion."""

    job_id: UUID
    attempt: int
    step: str | None


@dataclass(frozen=True, slots=True)
class Life:
    """All that is known of one job, each kind in its order."""

    job_id: UUID
    moves: Sequence[Transition]
    notes: Sequence[Note]
    lines: Sequence[Line]
    effects: Sequence[Effect]
    rows: Sequence[Row]

    @property
    def status(self) -> str | None:
        """Its status now, or the last that it had; None for a job that never was."""
        if self.rows:
            return self.rows[0].status
        return (self.moves[-1].status or self.moves[-1].old_status) if self.moves else None

    @property
    def attempt(self) -> int | None:
        """Its latest attempt."""
        if self.rows:
            return self.rows[0].attempt
        last = self.moves[-1] if self.moves else None
        return last and (last.old_attempt if last.is_removal else last.attempt)

    @property
    def task(self) -> str | None:
        """What it runs."""
        return self.moves[0].task if self.moves else self.rows[0].task if self.rows else None

    @property
    def is_known(self) -> bool:
        """Whether it was ever seen, in the record or in its table."""
        return bool(self.moves or self.rows)

    def is_older_than(self, moment: datetime) -> bool:
        """Tell whether it was made before, as an id of version 7 says: what became of it then is not known."""
        return self.job_id.version == 7 and (self.job_id.int >> 80) < moment.timestamp() * 1000

    @property
    def has_ended(self) -> bool:
        """Whether it is, or was when it was removed, in a status that lasts."""
        return self.status in FINAL

    @property
    def outcomes(self) -> Iterator[Note]:
        """How its attempts ended."""
        return (note for note in self.notes if note.kind == "attempt")

    @property
    def steps(self) -> Iterator[Note]:
        """The steps that were stored."""
        return (note for note in self.notes if note.kind == "step")

    def before(self, number: int) -> Transition | None:
        """Return the last change before this number."""
        return next((move for move in reversed(self.moves) if move.number < number), None)

    def lines_of(self, kind: str) -> Iterator[Line]:
        """Return the ledger's lines of a kind."""
        return (line for line in self.lines if line.kind == kind)


def folded(rows: Sequence[Transition]) -> list[Transition]:
    """Make one change of each delete and insert by which a job went to another partition."""
    if all(row.operation == "UPDATE" for row in rows[1:]):
        return list(rows)
    moves: list[Transition] = []
    for row in rows:
        if moves and _is_move(moves[-1], row):
            gone, came = (moves[-1], row) if row.operation == "INSERT" else (row, moves[-1])
            moves[-1] = came._replace(
                operation=MOVE,
                old_status=gone.old_status,
                old_attempt=gone.old_attempt,
                old_generation=gone.old_generation,
                old_worker_id=gone.old_worker_id,
                old_engine=gone.old_engine,
            )
        else:
            moves.append(row)
    return moves


def _is_move(first: Transition, second: Transition) -> bool:
    if first.xid != second.xid or {first.operation, second.operation} != {"INSERT", "DELETE"}:
        return False
    # The insert comes first where a job is retried; but one that is enqueued and ended at once is inserted, then moved.
    enqueued = (first.status, first.generation) == (second.old_status, second.old_generation)
    return first.operation == "DELETE" or not enqueued
