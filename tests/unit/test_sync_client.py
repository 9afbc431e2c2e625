"""What the generator makes; what the synchronous client does is tested with the asynchronous one, in test_client.py."""

from __future__ import annotations

import pytest

from scripts.generate_sync import ROOT, SOURCES, NoCounterpartError, synchronous


@pytest.mark.parametrize("origin", SOURCES)
def test_the_synchronous_twin_is_what_the_generator_makes_of_its_origin(origin: str) -> None:
    made = synchronous((ROOT / origin).read_text(encoding="utf-8"), origin)
    assert (ROOT / SOURCES[origin]).read_text(encoding="utf-8") == made, "run `make generate`"


def test_words_are_replaced_in_code_and_prose_and_nowhere_else() -> None:
    origin = '''
import asyncio


class Client:
    """An asynchronous Client: call `await close`."""

    async def __aenter__(self) -> str:
        async with self.database as db:  # the Database
            rows = [row async for row in db.rows("await a Client")]
        await asyncio.sleep(1)
        return (await self.one())[0]
'''
    plain = synchronous(origin, "esteira/made_up.py")
    assert (
        plain.partition("\n")[2]
        == '''
import time


class SyncClient:
    """An synchronous SyncClient: call `close`."""

    def __enter__(self) -> str:
        with self.database as db:  # the SyncDatabase
            rows = [row for row in db.rows("await a Client")]
        time.sleep(1)
        return (self.one())[0]
'''
    )


@pytest.mark.parametrize(
    ("origin", "hint"),
    [
        ("x = 1\nawait asyncio.gather()\n", "made_up.py:2: .*asyncio has no counterpart"),
        ("from collections.abc import Awaitable\n", "Awaitable has no counterpart"),
        ("class Acted:\n    pass\n", "Acted: there would be two"),
    ],
)
def test_what_has_no_counterpart_is_said_to_have_none(origin: str, hint: str) -> None:
    with pytest.raises(NoCounterpartError, match=hint):
        synchronous(origin, "made_up.py")
