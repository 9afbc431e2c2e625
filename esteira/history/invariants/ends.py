"""How jobs end: One end, Cancel, No loss."""

from __future__ import annotations

from collections.abc import Iterator

from esteira.history.events import Life, Transition
from esteira.history.invariants.invariant import Breach, Invariant
from esteira.job import FINAL


class OneEnd(Invariant):
    """A job ends once in each of its lives, and only a retry of a dead or cancelled one begins another life."""

    name = "One end"

    def life(self, life: Life) -> Iterator[Breach]:
        """Look at what became of what had ended."""
        for move in life.moves:
            if move.is_removal or move.old_status is None:
                continue
            retried = _is_retry(move)
            if move.old_status in FINAL and move.status != move.old_status and not retried:
                # A cancelled job that lives again is Cancel's.
                if move.old_status != "cancelled" or move.status in FINAL:
                    yield Breach(f"it was {move.old_status} and became {move.status}", move.number)
            elif move.generation != move.old_generation and not retried:
                generations = f"from generation {move.old_generation} to {move.generation}"
                yield Breach(f"it went {generations} while it was {move.old_status}", move.number)


class Cancel(Invariant):
    """A job that was cancelled, or asked to stop while it ran, is not claimed again until it is retried."""

    name = "Cancel"

    def life(self, life: Life) -> Iterator[Breach]:
        """Look at what follows a cancel, and at cancels that nothing follows."""
        for move in life.moves:
            lives = not move.is_removal and move.status not in FINAL
            if move.old_status == "cancelled" and lives and not _is_retry(move):
                yield Breach(f"it was cancelled and became {move.status} without a retry", move.number)
        yield from self._asked(life)
        yield from self._answered(life)

    def _asked(self, life: Life) -> Iterator[Breach]:
        for note in life.notes:
            if note.kind != "cancel":
                continue
            held = life.before(note.number)
            again = next((move for move in life.moves if move.number > note.number and move.is_claim), None)
            if again is not None and held is not None and again.generation == held.generation:
                asked = f"somebody asked it to stop in attempt {note.attempt}"
                yield Breach(f"attempt {again.attempt} was claimed after {asked}", again.number)

    def _answered(self, life: Life) -> Iterator[Breach]:
        answers = [str(line.fields.get("answer")) for line in life.lines if line.kind == "cancelled"]
        if not answers or not life.moves:
            return
        times = sum(move.status == "cancelled" != move.old_status for move in life.moves)
        times += life.moves[0].old_status == "cancelled"
        if answers.count("cancelled") > times:
            told = f"the ledger knows {answers.count('cancelled')} cancels that were acknowledged"
            yield Breach(f"{told}, and it was cancelled {times} times", life.moves[-1].number)
        if "running" in answers and not any(note.kind == "cancel" for note in life.notes):
            yield Breach("somebody was told that it was asked to stop, and it never was", life.moves[-1].number)


class NoLoss(Invariant):
    """A job that was acknowledged exists, and every job has ended once all is drained."""

    name = "No loss"

    def life(self, life: Life) -> Iterator[Breach]:
        """Look for what is gone, and for what is not done."""
        lost = not life.is_known and not life.is_older_than(self.terms.since)
        for line in life.lines:
            if line.kind == "acknowledged" and lost:
                yield Breach(f"it was acknowledged (line {line.place} of the ledger), and it is nowhere")
        last = life.moves[-1] if life.moves else None
        if not life.rows and last is not None and not last.is_removal and last.status not in FINAL:
            yield Breach(f"it was {last.status}, and it is gone", last.number)
        if self.terms.drained and life.rows and not life.has_ended:
            yield Breach(f"all is said to be drained, and it is {life.status}", last.number if last else None)


def _is_retry(move: Transition) -> bool:
    return (
        move.old_status in ("dead", "cancelled")
        and move.status == "queued"
        and move.generation == (move.old_generation or 0) + 1
    )
