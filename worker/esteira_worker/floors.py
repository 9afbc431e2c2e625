"""Floors: where an engine's next claim of each lane begins. A lane is a queue and a priority.

The floor is the (ready_at, id) last claimed in the lane, so that a claim does not step over the dead index entries of
all jobs taken before. What comes to lie below it is found by a sweep, a claim without floors.

Times are seconds since 1970, as Postgres computes them: the driver took as long for two datetimes a job as for all the
rest of it. A float tells microseconds apart until the year 2106.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

Pair = tuple[float, UUID]

BOTTOM: Pair = (float("-inf"), UUID(int=0))
PRIORITIES = (3, 2, 1, 0)
# An idle engine's floor stays this far behind the database's clock: commits take a while to show.
_LAG_SECONDS = 1.0


class Floors:
    """The floors of one engine. Lanes without one begin at the bottom."""

    def __init__(self) -> None:
        self._floors: dict[tuple[str, int], Pair] = {}
        self._clock = BOTTOM[0]

    def reset(self) -> None:
        """Forget all floors: after a reconnect, or when the database's time went back."""
        self._floors.clear()

    def lanes(
        self, queues: Sequence[str], *, sweep: bool = False
    ) -> tuple[list[str], list[int], list[datetime], list[UUID]]:
        """Return the arrays of the claim: the highest priority of every queue first, then the next."""
        lanes = [(queue, priority) for priority in PRIORITIES for queue in queues]
        pairs = [BOTTOM if sweep else self._floors.get(lane, BOTTOM) for lane in lanes]
        return (
            [queue for queue, _ in lanes],
            [priority for _, priority in lanes],
            [_moment(seconds) for seconds, _ in pairs],
            [job_id for _, job_id in pairs],
        )

    def claimed(self, taken: Iterable[tuple[str, int, float, UUID]]) -> None:
        """Raise the floors to what a claim took; only after its commit."""
        floors = self._floors
        for queue, priority, ready_at, job_id in taken:
            pair = (ready_at, job_id)
            if pair > floors.get((queue, priority), BOTTOM):
                floors[queue, priority] = pair

    def swept(self, taken: Iterable[tuple[str, int, float, UUID]]) -> None:
        """Lower the floors to the smallest pair that a sweep found, since more may lie just above it.

        Otherwise 10,000 jobs that were committed late would drain at one batch a sweep.
        """
        for queue, priority, ready_at, job_id in taken:
            pair = (ready_at, job_id)
            if pair < self._floors.get((queue, priority), BOTTOM):
                self._floors[queue, priority] = pair

    def exhausted(self, queues: Iterable[str], now: float) -> None:
        """Raise all floors to just before the database's now: a claim found less than it wanted."""
        pair = (now - _LAG_SECONDS, UUID(int=0))
        for queue in queues:
            for priority in PRIORITIES:
                if pair > self._floors.get((queue, priority), BOTTOM):
                    self._floors[queue, priority] = pair

    def saw_clock(self, now: float) -> None:
        """Note the database's clock; where it went back, nothing that was remembered holds."""
        if now + _LAG_SECONDS < self._clock:
            self.reset()
        self._clock = now


def _moment(seconds: float) -> datetime:
    # asyncpg sends datetime.min as -infinity.
    return datetime.min.replace(tzinfo=UTC) if seconds == BOTTOM[0] else datetime.fromtimestamp(seconds, UTC)
