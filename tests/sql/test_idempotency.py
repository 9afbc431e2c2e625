"""Idempotency keys: who asks again within 24 h is given the same job."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

START = datetime(2030, 1, 1, tzinfo=UTC)
DAY = 86_400


async def ask(queue: Any, *keys: str | None, atomic: bool = True, **arrays: Any) -> list[tuple[Any, str]]:
    rows = await queue.enqueue_batch(["t"] * len(keys), atomic=atomic, idempotency_keys=keys, **arrays)
    return [(row["id"], row["outcome"]) for row in rows]


async def test_the_same_request_is_answered_with_the_same_job_even_when_it_has_ended(queue: Any) -> None:
    ((job, outcome),) = await ask(queue, "k")
    assert outcome == "enqueued"
    (row,) = await queue.enqueue_batch(["t"], idempotency_keys=["k"])
    assert (row["id"], row["queue"], row["outcome"]) == (job, None, "replayed")
    await queue.claim()
    await queue.complete(job)
    assert await ask(queue, "k") == [(job, "replayed")]
    assert await queue.count("job") == 1


async def test_another_request_with_the_key_is_refused_and_names_the_job_that_has_it(queue: Any, refused: Any) -> None:
    ((job, _),) = await ask(queue, "k")
    with refused("ES006", f"was used for another request, answered by job {job}"):
        await ask(queue, "new", "k", payloads=["{}", '{"n": 1}'])
    assert await queue.count("job") == 1
    rows = await ask(queue, "k", "new", atomic=False, payloads=['{"n": 1}', "{}"])
    assert (rows[0], rows[1][1]) == ((job, "idempotency_mismatch"), "enqueued")


async def test_all_that_is_asked_for_makes_another_request(queue: Any) -> None:
    hour = timedelta(hours=1)
    await ask(queue, "k", payloads=['{"a": 1, "b": 2}'])
    assert (await ask(queue, "k", payloads=['{"b": 2,  "a": 1}']))[0][1] == "replayed"
    other: dict[str, Any] = {
        "queues": ["q"],
        "priorities": ["high"],
        "delays": [hour],
        "run_ats": [START],
        "max_attempts": [2],
        "retry_firsts": [hour],
        "retry_maxes": [hour],
        "timeouts": [hour],
        "metadata": ['{"a": 1}'],
        "tags": ['["a"]'],
        "expires_ats": [datetime(2100, 1, 1, tzinfo=UTC)],
        "unique_keys": ["u"],
        "on_conflicts": ["reject"],
    }
    for name, values in other.items():
        rows = await ask(queue, "k", atomic=False, **{"payloads": ['{"a": 1, "b": 2}'], name: values})
        assert rows[0][1] == "idempotency_mismatch", name


async def test_the_settings_of_the_session_do_not_make_another_request(queue: Any) -> None:
    arrays = {"delays": [timedelta(days=1, hours=1)], "expires_ats": [datetime(2100, 1, 1, tzinfo=UTC)]}
    ((job, _),) = await ask(queue, "k", **arrays)
    await queue.connection.execute(
        "set timezone = 'America/Sao_Paulo'; set intervalstyle = 'iso_8601'; set datestyle = 'German';"
        "set extra_float_digits = 0; set bytea_output = 'escape'"
    )
    assert await ask(queue, "k", **arrays) == [(job, "replayed")]


async def test_a_key_is_remembered_for_a_day(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    ((job, _),) = await ask(queue, "k")
    await clock.advance(queue.connection, seconds=DAY - 1)
    assert await ask(queue, "k") == [(job, "replayed")]
    await clock.advance(queue.connection, seconds=1)
    ((new, outcome),) = await ask(queue, "k", payloads=['{"n": 1}'])
    assert (new != job, outcome) == (True, "enqueued")
    assert await ask(queue, "k", payloads=['{"n": 1}']) == [(new, "replayed")]


async def test_a_key_twice_in_one_batch_is_one_job(queue: Any) -> None:
    first, second, third = await ask(queue, "k", "k", None)
    assert (first[0], first[1], second[1], third[1]) == (second[0], "enqueued", "replayed", "enqueued")
    assert await queue.count("job") == 2


@pytest.mark.parametrize("commits", [True, False])
async def test_a_request_on_its_way_decides_by_how_its_transaction_ends(
    queue: Any, other: Any, *, commits: bool
) -> None:
    transaction = other.connection.transaction()
    await transaction.start()
    ((job, _),) = await ask(other, "k")
    late = asyncio.create_task(ask(queue, "k"))
    await other.until_blocked(queue)
    await (transaction.commit() if commits else transaction.rollback())
    ((answer, outcome),) = await late
    assert (answer == job, outcome) == ((True, "replayed") if commits else (False, "enqueued"))
    assert await queue.count("job") == 1


async def test_a_request_on_its_way_is_waited_for_a_second(queue: Any, other: Any, refused: Any) -> None:
    async with other.connection.transaction():
        await ask(other, "k")
        with refused("ES007", "about to enqueue a job with the same key"):
            await ask(queue, "k")
        await ask(queue, "another")
    assert await queue.count("job") == 2


async def test_overlapping_batches_in_opposite_orders_do_not_deadlock(queue: Any, other: Any, new_queue: Any) -> None:
    holder = await new_queue()
    transaction = holder.connection.transaction()
    await transaction.start()
    await ask(holder, "a")
    one = asyncio.create_task(ask(queue, "b", "c", "a"))
    await holder.until_blocked(queue)
    two = asyncio.create_task(ask(other, "a", "c", "b"))
    await holder.until_blocked(other)
    await transaction.rollback()
    assert sorted(outcome for _, outcome in await one + await two) == ["enqueued"] * 3 + ["replayed"] * 3


async def test_a_request_that_was_refused_leaves_no_key_behind(queue: Any, refused: Any) -> None:
    live = await queue.enqueue(unique_key="u")
    arrays = {"unique_keys": ["u"], "on_conflicts": ["reject"]}
    assert await ask(queue, "k", atomic=False, **arrays) == [(live, "unique_conflict")]
    with refused("ES003"):
        await ask(queue, "k", **arrays)
    assert await queue.count("idempotency_key") == 0
    await queue.call("cancel", live)
    assert (await ask(queue, "k", **arrays))[0][1] == "enqueued"


@pytest.mark.parametrize(("policy", "first"), [("return", "existing"), ("replace", "replaced")])
async def test_the_key_remembers_the_live_job_that_was_the_answer(queue: Any, policy: str, first: str) -> None:
    live = await queue.enqueue(unique_key="u")
    arrays = {"unique_keys": ["u"], "on_conflicts": [policy]}
    assert await ask(queue, "k", **arrays) == [(live, first)]
    await queue.call("cancel", live)
    assert await ask(queue, "k", **arrays) == [(live, "replayed")]


async def test_a_key_has_1_to_255_characters(queue: Any) -> None:
    await ask(queue, "é" * 255)
    for key in ("", "k" * 256):
        with pytest.raises(asyncpg.CheckViolationError, match="idempotency_key_is_short"):
            await ask(queue, key)


async def test_a_repeatable_read_transaction_is_told_to_run_again(queue: Any, other: Any) -> None:
    transaction = queue.connection.transaction(isolation="repeatable_read")
    await transaction.start()
    await queue.connection.execute("select from esteira.job")
    await ask(other, "k")
    with pytest.raises(asyncpg.SerializationError):
        await ask(queue, "k")
    await transaction.rollback()
    assert await queue.count("job") == 1
