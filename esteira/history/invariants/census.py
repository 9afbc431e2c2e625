"""Whether all jobs are accounted for: Conservation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC

from esteira.history.events import MOVE, Life, Row, Transition
from esteira.history.evidence import Evidence
from esteira.history.invariants.invariant import Breach, Invariant
from esteira.job import FINAL

COUNTS = """
select
    recording.live + recording.dead + recording.finished as before,
    (select count(*) from esteira.job) as now,
    coalesce(retention.finished_removed - recording.finished_removed, 0) as finished_removed,
    coalesce(retention.dead_removed - recording.dead_removed, 0) as dead_removed
from esteira_history.recording as recording
left join esteira.retention as retention on true
"""


class Conservation(Invariant):
    """A job is one row in every commit from enqueue to removal, so what was enqueued is there or was removed."""

    name = "Conservation"

    enqueued = 0
    dead_removed = 0

    def life(self, life: Life) -> Iterator[Breach]:
        """Follow the row from change to change, and compare the last one with the row that is there."""
        before: Transition | None = None
        for move in life.moves:
            yield from self._step(before, move)
            before = move
        if before is not None:
            yield from self._now(before, life.rows)

    def _step(self, before: Transition | None, move: Transition) -> Iterator[Breach]:
        if move.old_status is None:
            self.enqueued += 1
            if before is not None:
                sentence = "there are two rows of it" if not before.is_removal else "it came back after it was removed"
                yield Breach(sentence, move.number)
            elif (move.status, move.attempt, move.generation) != ("queued", 0, 1):
                yield Breach(f"it came as {move.status} in attempt {move.attempt}", move.number)
        elif before is not None and before.is_removal:
            yield Breach("it was changed after it was removed", move.number)
        elif before is not None and _state(before) != (move.old_status, move.old_attempt, move.old_generation):
            was = f"{before.status} in attempt {before.attempt}"
            yield Breach(
                f"it was {was}, and was {move.old_status} in attempt {move.old_attempt} next: nothing recorded that",
                move.number,
            )
        if move.is_removal:
            self.dead_removed += move.old_status == "dead"
            if move.old_status not in FINAL:
                yield Breach(f"it was removed while it was {move.old_status}", move.number)
        elif move.operation == MOVE and move.old_status == move.status == "queued" and move.old_attempt:
            yield Breach(f"it was replaced after attempt {move.old_attempt}", move.number)

    def _now(self, last: Transition, rows: Sequence[Row]) -> Iterator[Breach]:
        if len(rows) > 1:
            yield Breach(f"there are {len(rows)} rows of it", last.number)
        elif rows and last.is_removal:
            yield Breach("it was removed, and it is there", last.number)
        elif rows and _state(last) != (rows[0].status, rows[0].attempt, rows[0].generation):
            now = f"it is {rows[0].status} in attempt {rows[0].attempt}"
            yield Breach(
                f"it was {last.status} in attempt {last.attempt}, and {now}: nothing recorded that", last.number
            )
        elif not rows and not last.is_removal and not self._was_dropped(last):
            yield Breach(f"it was {last.status}, and is gone: nothing recorded that", last.number)

    def _was_dropped(self, last: Transition) -> bool:
        day = last.finished_at and last.finished_at.astimezone(UTC).date()
        return last.status in ("completed", "cancelled") and day not in self.terms.days

    async def end(self, evidence: Evidence) -> AsyncIterator[Breach]:
        """Count all: what was there and what came must be there, or in the counters of what was removed."""
        counts = await evidence.row(COUNTS)
        gone = counts["before"] + self.enqueued - counts["now"]
        if gone != counts["finished_removed"] + self.dead_removed:
            came = f"{counts['before']:,} jobs were there, {self.enqueued:,} were enqueued, {counts['now']:,} are there"
            went = f"retention removed {counts['finished_removed']:,} and {self.dead_removed:,} dead ones were removed"
            yield Breach(f"{came}, so {gone:,} are gone; but {went}")
        if counts["dead_removed"] > self.dead_removed:
            said = f"retention counted {counts['dead_removed']:,} dead letters that it removed"
            yield Breach(f"{said}, and {self.dead_removed:,} were removed")


def _state(move: Transition) -> tuple[str | None, int | None, int | None]:
    return move.status, move.attempt, move.generation
