"""When jobs may begin: Time."""

from __future__ import annotations

from collections.abc import Iterator

from esteira.history.events import Life
from esteira.history.invariants.invariant import Breach, Invariant


class Time(Invariant):
    """Nothing begins before its run_at, nor for the first time after its expires_at, by the queue's clock."""

    name = "Time"

    def life(self, life: Life) -> Iterator[Breach]:
        """Look at every claim."""
        for move in life.moves:
            if not move.is_claim or move.started_at is None or move.ready_at is None or move.run_at is None:
                continue
            due = max(move.run_at, move.ready_at)
            # The claim reads the clock first, and the record after it.
            began = min(move.started_at, move.at)
            if began < due:
                yield Breach(
                    f"attempt {move.attempt} was claimed {(due - began).total_seconds():.3f} s before it was due",
                    move.number,
                )
            if move.old_attempt == 0 and move.expires_at is not None and move.started_at >= move.expires_at:
                late = (move.started_at - move.expires_at).total_seconds()
                yield Breach(f"it was claimed {late:.3f} s after it had expired", move.number)
