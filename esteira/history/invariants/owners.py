"""Who may run a job, and write for it: One owner, Fence, Justified restart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

from esteira.history.events import SEEN, Life, Transition
from esteira.history.evidence import Evidence
from esteira.history.invariants.invariant import Breach, Invariant

# The row lock that an attempt writes under orders the commits: what it wrote before its end was recorded was committed
# by then. What wrote without the lock may not have been.
LATE_WRITES = """
select note.job_id, note.attempt, note.name, over.number, over.attempt as now, over.status
from esteira_history.note as note
join esteira_history.transition as over on over.job_id = note.job_id
where note.kind = 'step' and over.number > note.number and over.xid <> note.xid
  and (over.old_status = 'running') <> (coalesce(over.status, '') = 'running')
  and not pg_visible_in_snapshot(note.xid, over.snapshot)
order by over.number
limit 1
"""
# What only the process that runs an attempt says of it.
_OWN_WORDS = ("failed", "timed_out", "snoozed", "cancelled")


class OneOwner(Invariant):
    """Each attempt is claimed once, from the queue, one above the last, and runs nowhere else until it is over."""

    name = "One owner"

    def life(self, life: Life) -> Iterator[Breach]:
        """Look at claims, at whatever else changes an attempt's number or owner, and at who began."""
        for move in life.moves:
            if not move.is_removal and move.old_status is not None and move.operation != SEEN:
                yield from self._change(move)
        yield from self._beginnings(life)

    def _change(self, move: Transition) -> Iterator[Breach]:
        if move.is_claim:
            if move.old_status == "running":
                yield Breach(
                    f"attempt {move.attempt} was claimed while attempt {move.old_attempt} still ran", move.number
                )
            elif move.old_status != "queued":
                yield Breach(f"attempt {move.attempt} was claimed of a job that was {move.old_status}", move.number)
            if move.attempt != (move.old_attempt or 0) + 1:
                yield Breach(f"attempt {move.attempt} was claimed after attempt {move.old_attempt}", move.number)
        elif move.attempt != (move.old_attempt or 0):
            yield Breach(f"the attempt went from {move.old_attempt} to {move.attempt} without a claim", move.number)
        elif move.status == "running" and (move.worker_id, move.engine) != (move.old_worker_id, move.old_engine):
            yield Breach(
                f"attempt {move.attempt} went from worker {move.old_worker_id}/{move.old_engine}"
                f" to {move.worker_id}/{move.engine} without a claim",
                move.number,
            )

    def _beginnings(self, life: Life) -> Iterator[Breach]:
        began: set[int | None] = set()
        for line in life.lines:
            if line.kind != "began":
                continue
            if line.attempt in began:
                yield Breach(f"attempt {line.attempt} began twice, as line {line.place} of the ledger says")
            if line.attempt is not None and line.attempt > (life.attempt or 0):
                yield Breach(
                    f"attempt {line.attempt} began and was never claimed, as line {line.place} of the ledger says"
                )
            began.add(line.attempt)


class Fence(Invariant):
    """Nothing of an attempt is stored but while it runs, and by the engine that runs it."""

    name = "Fence"

    def life(self, life: Life) -> Iterator[Breach]:
        """Look at who wrote what, when."""
        for note in life.notes:
            if note.kind == "cancel":
                continue
            what = f'the step "{note.name}"' if note.kind == "step" else f"its end ({note.name})"
            held = life.before(note.number)
            if held is not None and (held.status != "running" or held.attempt != note.attempt):
                now = f"attempt {held.attempt} ran" if held.status == "running" else f"the job was {held.status}"
                yield Breach(f"attempt {note.attempt} stored {what} when {now}", note.number)
            elif held is not None and (note.kind == "step" or note.name in _OWN_WORDS):
                yield from self._stranger(note.session, held.worker_id, held.engine, what, note.number)
        for move in life.moves:
            if move.status == "completed" and move.old_status == "running":
                owner = move.old_worker_id, move.old_engine
                yield from self._stranger(
                    move.session, *owner, f"the completion of attempt {move.attempt}", move.number
                )
            elif move.status == "completed" and move.old_status in ("queued", "waiting"):
                sentence = f"attempt {move.attempt} stored its completion when the job was {move.old_status}"
                yield Breach(sentence, move.number)

    def _stranger(
        self, session: str, worker_id: UUID | None, engine: int | None, what: str, number: int
    ) -> Iterator[Breach]:
        if session.count("/") == 2 and session.startswith("esteira/") and session != f"esteira/{worker_id}/{engine}":
            owner = f"esteira/{worker_id}/{engine}"
            yield Breach(f"{what} was stored by {session}, and the attempt ran in {owner}", number)

    async def end(self, evidence: Evidence) -> AsyncIterator[Breach]:
        """Look for steps that were committed after their attempt was over, though they were written before."""
        for row in await evidence.rows(LATE_WRITES):
            over = f"attempt {row['now']} began" if row["status"] == "running" else "the attempt was over"
            sentence = f'the step "{row["name"]}" of attempt {row["attempt"]} was committed after {over}'
            yield Breach(sentence, row["number"], row["job_id"])


class JustifiedRestart(Invariant):
    """An attempt begins only after it was noted how the one before ended: failed, crashed, lost, snoozed, released."""

    name = "Justified restart"

    def life(self, life: Life) -> Iterator[Breach]:
        """Look at every claim but the first."""
        seen = False
        for move in life.moves:
            before = move.old_attempt or 0
            if move.is_claim and before and seen:
                ended = any(note.attempt == before and note.number < move.number for note in life.outcomes)
                if not ended:
                    sentence = f"attempt {move.attempt} was claimed, and nothing says how attempt {before} ended"
                    yield Breach(sentence, move.number)
            # How an attempt ended that was over before recording began is not known.
            seen = seen or move.status == "running"
