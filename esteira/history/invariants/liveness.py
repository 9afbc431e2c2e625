"""How soon what is ready begins: Liveness."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from esteira.history.events import Life, Transition
from esteira.history.evidence import Evidence
from esteira.history.invariants.invariant import Breach, Invariant, Terms
from esteira.history.invariants.spans import Span, common, longest, united, without

READY = timedelta(seconds=1)
LATE = timedelta(seconds=2)
# A worker whose beats are further apart is not counted on.
BEAT = timedelta(seconds=2.5)
# For so long it is not counted on after a silence or the crash of an engine, and nobody is after a fault.
HEALING = timedelta(seconds=10)

FAKE = "select exists (select from esteira_history.transition where abs(extract(epoch from at - clock)) > 1)"
WORKERS = """
select worker_id, clock, operation, beats, slots, queues, tasks,
       coalesce(drain_at, stopped_at, lost_at) is not null as leaving,
       pg_snapshot_xmax(snapshot) as xmax, array(select pg_snapshot_xip(snapshot)) as under_way
from esteira_history.worker order by number
"""
# Who holds how many: what begins adds one, what is over takes one away. A job that crashed twice has an engine alone.
HOLDS = """
select clock, job_id, crashes, status,
       case when status = 'running' then worker_id else old_worker_id end as worker_id
from esteira_history.transition
where (status = 'running' and (old_status is distinct from 'running' or operation = 'SEEN'))
   or (old_status = 'running' and status is distinct from 'running')
order by number
"""
CRASHES = """
select note.clock, held.old_worker_id as worker_id
from esteira_history.note as note
join esteira_history.transition as held on held.job_id = note.job_id and held.xid = note.xid
where held.old_worker_id is not null and note.kind = 'attempt' and note.name = 'crashed'
"""
FAULTS = "select at from history_ledger where kind = 'fault'"
PAUSES = "select clock, kind, name, paused from esteira_history.pause order by number"


class Beat(NamedTuple):
    """A heartbeat, and which transactions it could see as committed: once seen, always seen."""

    clock: datetime
    xmax: int
    under_way: frozenset[int]

    def sees(self, xid: int) -> bool:
        """Tell whether the transaction was committed by then."""
        return xid < self.xmax and xid not in self.under_way


@dataclass
class Capacity:
    """One worker: what it can do, and when it certainly had a slot free."""

    slots: int = 0
    queues: frozenset[str] | None = None
    tasks: frozenset[str] = frozenset()
    last_beat: int = 0
    beats: list[Beat] = field(default_factory=list)
    holds: int = 0
    alone: set[UUID] = field(default_factory=set)
    free_since: datetime | None = None
    free: list[Span] = field(default_factory=list)

    def can(self, job: Transition) -> bool:
        """Tell whether it would claim such a job."""
        return job.task in self.tasks and (self.queues is None or job.queue in self.queues)

    def changed(self, row: Any) -> None:
        """Take notice of a job that it begins, or that is over."""
        begins = row["status"] == "running"
        self.holds += 1 if begins else -1
        if begins and row["crashes"] >= 2:
            self.alone.add(row["job_id"])
        elif not begins:
            self.alone.discard(row["job_id"])
        self.note(row["clock"], is_free=self.holds < self.slots and not self.alone)

    def note(self, clock: datetime, *, is_free: bool) -> None:
        """Take notice of whether a slot is free from now on."""
        if is_free and self.free_since is None:
            self.free_since = clock
        elif not is_free and self.free_since is not None:
            if clock - self.free_since >= READY:
                self.free.append((self.free_since, clock))
            self.free_since = None


class Liveness(Invariant):
    """While a worker that can run it has a free slot, a ready job is claimed within 1 s, a late commit within 2 s.

    A free slot: the worker beats, is not draining, has claimed before, holds fewer jobs than it has slots and none that
    has to run alone; none of its engines has crashed lately, and nothing was broken on purpose. A job counts as
    committed from the first heartbeat that could see it: a wait is measured up to a second too short, never too long.
    """

    name = "Liveness"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._missing: str | None = None
        self._workers: dict[UUID, Capacity] = defaultdict(Capacity)
        self._beats: list[Beat] = []
        self._paused: dict[tuple[str, str], list[Span]] = {}

    def not_checked(self) -> str | None:
        """Ask for workers, and a clock that everybody shares."""
        return self._missing

    async def begin(self, evidence: Evidence) -> None:
        """Learn when which worker had a free slot."""
        if (await evidence.row(FAKE))[0]:
            self._missing = "a session pretended another time (esteira.fake_now)"
            return
        await self._read_beats(evidence)
        if not self._beats:
            self._missing = "no worker has beaten since recording began"
            return
        await self._read_holds(evidence)
        self._paused = _pauses(await evidence.rows(PAUSES), self._beats[-1].clock)

    async def _read_beats(self, evidence: Evidence) -> None:
        async for batch in evidence.stream(WORKERS):
            for row in batch:
                worker = self._workers[row["worker_id"]]
                if row["operation"] == "INSERT":
                    worker.queues = None if row["queues"] is None else frozenset(row["queues"])
                    worker.tasks, worker.slots = frozenset(row["tasks"]), row["slots"]
                elif row["beats"] != worker.last_beat and not row["leaving"]:
                    beat = Beat(row["clock"], row["xmax"], frozenset(row["under_way"]))
                    worker.beats.append(beat)
                worker.last_beat = row["beats"]
        self._beats = sorted((beat for worker in self._workers.values() for beat in worker.beats), key=_clock)

    async def _read_holds(self, evidence: Evidence) -> None:
        async for batch in evidence.stream(HOLDS):
            for row in batch:
                self._workers[row["worker_id"]].changed(row)
        faults = [_healing(row["at"]) for row in await evidence.rows(FAULTS)]
        crashes = defaultdict(list)
        for row in await evidence.rows(CRASHES):
            crashes[row["worker_id"]].append(_healing(row["clock"]))
        for worker_id, worker in self._workers.items():
            worker.note(self._beats[-1].clock, is_free=False)
            holes = united([*faults, *crashes[worker_id]])
            worker.free = list(without(list(common(worker.free, _beating(worker.beats))), holes))

    def life(self, life: Life) -> Iterator[Breach]:
        """Look at how long it was ready while somebody could have claimed it."""
        for move, following in pairwise([*life.moves, None]):
            assert move is not None
            if move.status == "queued" and move.ready_at is not None and (move.crashes or 0) < 2:
                yield from self._wait(move, following)

    def _wait(self, move: Transition, following: Transition | None) -> Iterator[Breach]:
        end = self._beats[-1].clock if following is None else following.clock
        if move.expires_at is not None and move.attempt == 0:
            end = min(end, move.expires_at)
        bound, begin = READY + self.terms.slack, max(move.ready_at or move.clock, move.clock)
        if end - begin <= bound:
            return
        begin = max(begin, self._committed(move))
        bound = (LATE if begin - move.clock > LATE else READY) + self.terms.slack
        if end - begin <= bound or self._was_paused(move, begin, end):
            return
        for worker_id, worker in self._workers.items():
            wait = longest(worker.free, begin, end) if worker.can(move) else timedelta(0)
            if wait > bound:
                yield Breach(
                    f"it was ready for {wait.total_seconds():.1f} s while worker {worker_id} had a free slot",
                    move.number if following is None else following.number,
                )
                return

    def _committed(self, move: Transition) -> datetime:
        """Return a moment by which it certainly was: the first beat that saw it so."""
        place = bisect_right(self._beats, move.clock, key=_clock)
        place = bisect_left(self._beats, True, lo=place, key=lambda beat: beat.sees(move.xid))
        return self._beats[min(place, len(self._beats) - 1)].clock

    def _was_paused(self, move: Transition, begin: datetime, end: datetime) -> bool:
        spans = self._paused.get(("queue", move.queue), []) + self._paused.get(("task", move.task), [])
        return any(since < end and begin < until for since, until in spans)


def _healing(since: datetime) -> Span:
    return since, since + HEALING


def _clock(beat: Beat) -> datetime:
    return beat.clock


def _beating(beats: list[Beat]) -> list[Span]:
    spans = united([(beat.clock, beat.clock) for beat in beats], BEAT)
    # After a silence its engines may still be on their way back.
    return [(begin + (HEALING if place else timedelta(0)), end) for place, (begin, end) in enumerate(spans)]


def _pauses(rows: list[Any], until: datetime) -> dict[tuple[str, str], list[Span]]:
    spans: dict[tuple[str, str], list[Span]] = defaultdict(list)
    since: dict[tuple[str, str], datetime] = {}
    for row in rows:
        what = row["kind"], row["name"]
        if row["paused"]:
            since.setdefault(what, row["clock"])
        elif what in since:
            spans[what].append((since.pop(what), row["clock"]))
    for what, begin in since.items():
        spans[what].append((begin, until))
    return spans
