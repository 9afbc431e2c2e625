from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from esteira_worker.floors import BOTTOM, Floors, Pair

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
# What the driver sends as -infinity.
LOWEST = datetime.min.replace(tzinfo=UTC)
LANES = 4


def pair(seconds: float, number: int = 1) -> Pair:
    return NOON + seconds, UUID(int=number)


def floor(floors: Floors, queue: str = "q", priority: int = 1) -> Pair:
    queues, priorities, times, ids = floors.lanes([queue])
    place = list(zip(queues, priorities, strict=True)).index((queue, priority))
    moment = times[place]
    return BOTTOM[0] if moment == LOWEST else moment.timestamp(), ids[place]


def test_lanes_go_from_the_highest_priority_of_every_queue_down() -> None:
    queues, priorities, times, ids = Floors().lanes(["a", "b"])
    assert list(zip(queues, priorities, strict=True))[:3] == [("a", 3), ("b", 3), ("a", 2)]
    assert set(zip(times, ids, strict=True)) == {(LOWEST, BOTTOM[1])}


def test_a_claim_raises_the_floor_of_its_lane_only() -> None:
    floors = Floors()
    floors.claimed([("q", 1, *pair(2)), ("q", 1, *pair(1))])
    assert floor(floors) == pair(2)
    assert floor(floors, priority=2) == BOTTOM
    assert floor(floors, queue="other") == BOTTOM


def test_tied_times_are_told_apart_by_id() -> None:
    floors = Floors()
    floors.claimed([("q", 1, *pair(1, 5)), ("q", 1, *pair(1, 3))])
    assert floor(floors) == pair(1, 5)


def test_a_sweep_claims_without_floors_and_leaves_them() -> None:
    floors = Floors()
    floors.claimed([("q", 1, *pair(2))])
    assert set(floors.lanes(["q"], sweep=True)[2]) == {LOWEST}
    assert floor(floors) == pair(2)


def test_a_sweep_that_finds_jobs_lowers_the_floor_to_the_first_and_never_raises_it() -> None:
    floors = Floors()
    floors.claimed([("q", 1, *pair(5))])
    floors.swept([("q", 1, *pair(3)), ("q", 1, *pair(2)), ("q", 1, *pair(9))])
    assert floor(floors) == pair(2)


def test_a_short_claim_raises_all_floors_to_a_second_before_now() -> None:
    floors = Floors()
    floors.claimed([("q", 3, *pair(60))])
    floors.exhausted(["q"], NOON)
    assert floor(floors) == (NOON - 1, UUID(int=0))
    assert floor(floors, priority=3) == pair(60)


def test_floors_are_forgotten_when_the_databases_clock_goes_back() -> None:
    floors = Floors()
    floors.saw_clock(NOON)
    floors.claimed([("q", 1, *pair(0))])
    floors.saw_clock(NOON - 0.5)
    assert floor(floors) == pair(0)
    floors.saw_clock(NOON - 3600)
    assert floor(floors) == BOTTOM


def test_a_microsecond_of_the_database_survives_the_floor() -> None:
    for microseconds in range(1_767_268_799_999_990, 1_767_268_800_000_010):
        floors = Floors()
        floors.claimed([("q", 1, microseconds / 1e6, UUID(int=1))])
        moment = floors.lanes(["q"])[2][2]
        assert moment.replace(microsecond=0).timestamp() * 1_000_000 + moment.microsecond == microseconds
