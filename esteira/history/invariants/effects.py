"""What handlers wrote in their transactions: Effects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from esteira.history.events import Life
from esteira.history.evidence import Evidence
from esteira.history.invariants.invariant import Breach, Invariant


class EffectsOnce(Invariant):
    """An effect in a transaction is there if and only if its job completed or its step was stored: once, by it."""

    name = "Effects"

    def not_checked(self) -> str | None:
        """Ask for a table of effects."""
        return None if self.terms.effects else "only you know where effects stand: --effects TABLE"

    async def begin(self, evidence: Evidence) -> None:
        """Learn which steps write effects."""
        rows = await evidence.rows("select distinct step from history_effect where step is not null")
        self._steps = {row["step"] for row in rows}

    def life(self, life: Life) -> Iterator[Breach]:
        """Compare effects with what was completed and stored."""
        if life.is_known or not life.is_older_than(self.terms.since):
            last = life.moves[-1].number if life.moves else None
            for sentence in (*self._there(life), *self._missing(life), *self._told(life)):
                yield Breach(sentence, last)

    def _there(self, life: Life) -> Iterator[str]:
        won = _winner(life)
        stored = {(note.name, note.attempt) for note in life.steps}
        # What was stored before recording began is not known.
        whole = bool(life.moves) and life.moves[0].old_status is None
        for (step, attempt), times in Counter((effect.step, effect.attempt) for effect in life.effects).items():
            whose = (
                f"the effect of attempt {attempt}"
                if step is None
                else f'the effect of step "{step}" of attempt {attempt}'
            )
            if times > 1:
                yield f"{whose} is there {times} times"
            if step is None and attempt != won:
                yield f"{whose} is there, and {_fate(life)}"
            if step is not None and whole and (step, attempt) not in stored:
                yield f"{whose} is there, and no such step was stored"

    def _missing(self, life: Life) -> Iterator[str]:
        if self.terms.effects is None or life.task not in self.terms.effects.tasks:
            return
        there = {(effect.step, effect.attempt) for effect in life.effects}
        won = _winner(life)
        if won and (None, won) not in there:
            yield f"{_fate(life)}, and its effect is not there"
        for note in life.steps:
            if note.name in self._steps and (note.name, note.attempt) not in there:
                yield f'attempt {note.attempt} stored the step "{note.name}", and its effect is not there'

    def _told(self, life: Life) -> Iterator[str]:
        for line in life.lines_of("effect_committed"):
            if line.attempt != _winner(life):
                told = f"attempt {line.attempt} was told that it had committed (line {line.place} of the ledger)"
                yield f"{told}, and {_fate(life)}"


def _winner(life: Life) -> int | None:
    return life.attempt if life.status == "completed" else None


def _fate(life: Life) -> str:
    if not life.is_known:
        return "there never was such a job"
    return f"attempt {life.attempt} completed" if life.status == "completed" else f"the job is {life.status}"
