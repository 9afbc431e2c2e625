from __future__ import annotations

import asyncio

import pytest

from esteira_worker.stop import Stop


async def test_the_first_word_stops_and_the_second_hurries() -> None:
    stop = Stop()
    stop.tell()
    assert (stop.told.is_set(), stop.hurry.is_set()) == (True, False)
    stop.tell()
    assert stop.hurry.is_set()


async def test_what_is_awaited_is_given_up_when_the_word_comes() -> None:
    stop = Stop()
    assert await stop.unless_told(asyncio.sleep(0, "done")) == "done"
    never = asyncio.create_task(asyncio.Event().wait())
    asyncio.get_running_loop().call_soon(stop.tell)
    assert await asyncio.wait_for(stop.unless_told(never), 5) is None
    await asyncio.wait([never])
    assert never.cancelled()


async def test_what_goes_wrong_meanwhile_is_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Stop().unless_told(fail())
