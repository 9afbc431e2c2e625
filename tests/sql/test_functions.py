"""The small functions below the verbs: now, uuid7, the priorities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest


async def test_the_clock_goes_on_within_a_transaction(queue: Any) -> None:
    async with queue.connection.transaction():
        first, began = await queue.connection.fetchrow("select esteira.now(), now()")
        second, still = await queue.connection.fetchrow("select esteira.now(), now()")
    assert began == still
    assert began < first < second


async def test_a_session_can_be_given_another_time_and_gets_its_own_back(queue: Any) -> None:
    await queue.connection.execute("set esteira.fake_now = '2030-01-01 00:00Z'")
    assert await queue.call("now") == datetime(2030, 1, 1, tzinfo=UTC)
    await queue.connection.execute("reset esteira.fake_now")
    assert abs(await queue.call("now") - datetime.now(UTC)) < timedelta(minutes=1)


async def test_ids_are_of_version_7_with_their_time_in_front(queue: Any) -> None:
    before = datetime.now(UTC)
    made = [row[0] for row in await queue.connection.fetch("select esteira.uuid7() from generate_series(1, 1000)")]
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}
    assert len(set(made)) == 1000
    times = [datetime.fromtimestamp((one.int >> 80) / 1000, UTC) for one in made]
    assert before - timedelta(minutes=1) < times[0] <= times[-1] < before + timedelta(minutes=1)


async def test_ids_of_one_session_sort_by_age(queue: Any) -> None:
    made = [await queue.call("uuid7") for _ in range(50)]
    assert made == sorted(made)


async def test_a_priority_is_a_number_to_indexes_and_a_name_to_people(queue: Any) -> None:
    for number, name in enumerate(("low", "normal", "high", "critical")):
        assert await queue.call("priority_number", name) == number
        assert await queue.call("priority_name", number) == name


async def test_any_other_priority_is_refused(queue: Any) -> None:
    with pytest.raises(asyncpg.PostgresError, match='not "HIGH"') as refused:
        await queue.call("priority_number", "HIGH")
    assert refused.value.sqlstate == "ES004"


async def test_an_id_tells_when_it_was_made_and_a_moment_the_smallest_id_made_then(queue: Any) -> None:
    moment = datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    smallest = await queue.call("uuid7_at", moment)
    assert (smallest.version, smallest.variant) == (7, "specified in RFC 4122")
    assert await queue.call("uuid7_time", smallest) == moment
    before, made, after = await queue.connection.fetchrow(
        "select esteira.uuid7_at(clock_timestamp() - interval '1 ms'), esteira.uuid7(),"
        " esteira.uuid7_at(clock_timestamp() + interval '2 ms')"
    )
    assert before < made < after
    assert await queue.call("uuid7_time", uuid4()) is None


@pytest.mark.parametrize(
    ("moment", "edge"),
    [
        ("-infinity", 0),
        ("0001-01-01Z", 0),
        ("1969-12-31 23:59Z", 0),
        ("12000-01-01Z", 2**48 - 1),
        ("infinity", 2**48 - 1),
    ],
)
async def test_a_moment_that_no_id_can_carry_is_at_that_end(queue: Any, moment: str, edge: int) -> None:
    smallest = await queue.connection.fetchval("select esteira.uuid7_at($1::text::timestamptz)", moment)
    assert smallest.int >> 80 == edge
