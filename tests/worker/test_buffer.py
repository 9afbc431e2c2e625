from __future__ import annotations

import asyncio
from uuid import UUID

from esteira.running import Claimed
from esteira_worker.buffer import Buffer


def job(number: int) -> Claimed:
    return Claimed(UUID(int=number), 1, "q", "t", "{}", 0, 0, None)


async def test_jobs_come_out_in_the_order_in_which_they_were_put() -> None:
    buffer = Buffer()
    buffer.put([job(1), job(2)])
    buffer.put([job(3)])
    assert [(await buffer.take()).id.int for _ in range(3)] == [1, 2, 3]
    assert buffer.taken == 3


async def test_a_waiting_slot_is_counted_as_idle_and_asks_for_more() -> None:
    buffer = Buffer()
    taking = asyncio.create_task(buffer.take())
    await asyncio.wait_for(buffer.demand.wait(), 1)
    assert buffer.idle == 1
    buffer.put([job(1)])
    assert (await taking).id.int == 1
    assert buffer.idle == 0


async def test_more_is_asked_for_when_no_more_than_the_low_mark_is_left() -> None:
    buffer = Buffer()
    buffer.low = 1
    buffer.put([job(1), job(2), job(3)])
    await buffer.take()
    assert not buffer.demand.is_set()
    await buffer.take()
    assert buffer.demand.is_set()


async def test_a_slot_that_stops_waiting_takes_no_wake_up_with_it() -> None:
    buffer = Buffer()
    first, second = (asyncio.create_task(buffer.take()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    buffer.put([job(1)])
    assert (await asyncio.wait_for(second, 1)).id.int == 1
    await asyncio.wait([first])
    assert first.cancelled()
    assert buffer.idle == 0


async def test_what_is_taken_back_is_held_no_longer() -> None:
    buffer = Buffer()
    buffer.put([job(1), job(2)])
    assert buffer.holds() == {(UUID(int=1), 1), (UUID(int=2), 1)}
    assert [taken.id.int for taken in buffer.take_all()] == [1, 2]
    assert buffer.holds() == set()
