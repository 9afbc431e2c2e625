from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_job_with_nothing_said_is_normal_default_and_ready_now(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    job = await queue.job(await queue.enqueue("billing.fulfil", {"id": 1}))
    assert (job["status"], job["queue"], job["task"], job["priority"]) == (
        "queued",
        "default",
        "billing.fulfil",
        "normal",
    )
    assert (job["created_at"], job["run_at"], job["ready_at"]) == (START, START, START)
    assert (job["attempt"], job["failures"], job["max_attempts"], job["generation"]) == (0, 0, 3, 1)
    assert json.loads(job["payload"]) == {"id": 1}


async def test_every_named_argument_reaches_its_column(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    job = await queue.enqueue(
        queue="billing",
        priority="high",
        delay=timedelta(minutes=5),
        max_attempts=7,
        retry_first=timedelta(seconds=2),
        retry_max=timedelta(minutes=1),
        timeout=timedelta(seconds=90),
        metadata='{"customer": "a"}',
        tags=["x", "y"],
    )
    row = await queue.connection.fetchrow("select * from esteira.job where id = $1", job)
    assert (row["queue"], row["priority"], row["run_at"], row["ready_at"]) == (
        "billing",
        2,
        START + timedelta(minutes=5),
        row["run_at"],
    )
    assert (row["max_attempts"], row["retry_first_seconds"], row["retry_max_seconds"], row["timeout_seconds"]) == (
        7,
        2,
        60,
        90,
    )
    assert (json.loads(row["metadata"]), row["tags"]) == ({"customer": "a"}, ["x", "y"])


async def test_a_past_run_at_becomes_now_and_a_future_one_stays(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    past = await queue.job(await queue.enqueue(run_at=START - timedelta(days=1)))
    future = await queue.job(await queue.enqueue(run_at=START + timedelta(days=1)))
    assert (past["run_at"], past["ready_at"]) == (START, START)
    assert (future["run_at"], future["ready_at"]) == (START + timedelta(days=1), START + timedelta(days=1))


async def test_the_later_of_delay_and_run_at_counts(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    job = await queue.enqueue(delay=timedelta(hours=2), run_at=START + timedelta(hours=1))
    assert (await queue.job(job))["run_at"] == START + timedelta(hours=2)


async def test_a_declared_task_gives_queue_and_priority_to_jobs_that_name_none(queue: Any) -> None:
    await queue.register(["t"], queue="slow", priority="low", max_attempts=9)
    job = await queue.job(await queue.enqueue())
    assert (job["queue"], job["priority"], job["max_attempts"]) == ("slow", "low", 9)
    own = await queue.job(await queue.enqueue(queue="mine", priority="critical", max_attempts=1))
    assert (own["queue"], own["priority"], own["max_attempts"]) == ("mine", "critical", 1)


async def test_many_jobs_come_back_in_the_order_of_their_tasks_with_their_queues(queue: Any) -> None:
    made = await queue.connection.fetch(
        "select * from esteira.enqueue_many("
        " array(select 'task' || n from generate_series(1, 500) as n),"
        " queues => array(select 'queue' || n % 3 from generate_series(1, 500) as n))"
    )
    found = {row["id"]: row for row in await queue.connection.fetch("select id, task, queue from esteira.job")}
    assert [found[row["id"]]["task"] for row in made] == [f"task{n}" for n in range(1, 501)]
    assert [found[row["id"]]["queue"] for row in made] == [row["queue"] for row in made]


async def test_an_unknown_priority_is_refused_with_the_known_ones(queue: Any) -> None:
    with pytest.raises(asyncpg.PostgresError, match="low, normal, high or critical") as refused:
        await queue.enqueue(priority="urgent")
    assert refused.value.sqlstate == "ES004"
    # psql shows it all.
    assert "insert into" not in refused.value.context


async def test_tasks_and_queues_need_proper_names(queue: Any) -> None:
    for name in ("", " ", "-x", "a b", "a" * 101, "a;drop", "a\n"):
        for named in ({"task": name}, {"queue": name}):
            with pytest.raises(asyncpg.PostgresError, match="letters of ASCII, digits") as refused:
                await queue.enqueue(**named)
            assert refused.value.sqlstate == "ES004", named


async def test_a_name_may_hold_letters_digits_and_some_signs(queue: Any) -> None:
    job = await queue.job(await queue.enqueue("_Billing.fulfil:v1/x-y_9", queue="9/a.b-c_d:E"))
    assert (job["task"], job["queue"]) == ("_Billing.fulfil:v1/x-y_9", "9/a.b-c_d:E")


async def test_a_job_enqueued_in_a_transaction_that_rolls_back_never_was(queue: Any, other: Any) -> None:
    transaction = queue.connection.transaction()
    await transaction.start()
    await queue.enqueue()
    assert await other.claim() == []
    await transaction.rollback()
    assert await queue.count("job") == 0


async def test_enqueue_wakes_listeners_once_per_queue_and_not_when_told_not_to(queue: Any, other: Any) -> None:
    heard: list[str] = []
    await other.connection.add_listener("esteira", lambda *arguments: heard.append(arguments[-1]))
    await queue.enqueue(queue="silent", notify=False)
    async with queue.connection.transaction():
        await queue.enqueue(queue="loud")
        await queue.enqueue(queue="loud")
    await queue.call("notify_workers", ["end", "end"])
    await other.connection.fetchval("select 1")
    assert heard == ["loud", "end"]
    await other.connection.reset(timeout=5)


async def test_one_commit_at_a_time_wakes_listeners_and_the_others_say_so(queue: Any, other: Any) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await other.connection.add_listener("esteira", lambda *hint: heard.put_nowait(hint[3]))
    one = "select notified from esteira.enqueue_one('t', queue => $1, unique_key => $2, notify => $3)"
    async with queue.connection.transaction():
        assert await queue.connection.fetchval(one, "mail", "k", True)
        assert not await other.connection.fetchval(one, "fax", None, True)
        assert heard.empty()
    assert await heard.get() == "mail"
    assert not await other.connection.fetchval(one, "mail", "k", True), "there is nothing new in it"
    assert await other.connection.fetchval(one, "mail", None, False) is False
    assert await other.connection.fetchval(one, "mail", None, None) is False
    assert await other.connection.fetchval(one, "fax", None, True)
    assert await heard.get() == "fax"
    await other.connection.reset(timeout=5)


async def test_psql_can_enqueue(psql: Callable[..., str]) -> None:
    printed = psql("""
        select esteira.enqueue('billing.fulfil', '{"id": 1}', delay => '5 min') \\gset
        select queue || ' ' || status from esteira.jobs where id = :'enqueue'""")
    assert printed == "default queued"


async def test_no_job_is_to_run_after_the_year_2200(queue: Any) -> None:
    for late in ({"run_at": datetime(2201, 1, 2, tzinfo=UTC)}, {"delay": timedelta(days=70_000)}):
        with pytest.raises(asyncpg.CheckViolationError, match="job_runs_from_1970_to_2200"):
            await queue.enqueue(**late)


async def test_a_job_alone_is_stored_as_it_is_among_others(queue: Any, clock: Any) -> None:
    await clock.set(queue.connection, when=START)
    given = (
        "'t'::text", "'{\"id\": 1}'::jsonb", "'q'::text", "'high'::text", "'5 min'::interval", "esteira.now()", "7",
        "'2 s'::interval", "'3 s'::interval", "'4 s'::interval", "'{\"a\": 1}'::jsonb", "'[\"x\", \"y\"]'::jsonb",
        "esteira.now() + '1 day'",
    )  # fmt: skip
    for arguments in (given, given[:1]):
        arrays = ", ".join(f"array_fill({argument}, array[2])" for argument in arguments)
        many = await queue.connection.fetch(f"select queue, outcome from esteira.enqueue_many({arrays})")
        one = await queue.connection.fetch(f"select queue, outcome from esteira.enqueue_one({', '.join(arguments)})")
        assert one * 2 == many
        alike = "select count(*) from esteira.job_live group by (to_jsonb(job_live) - 'id')"
        assert [row[0] for row in await queue.connection.fetch(alike)] == [3]
        await queue.connection.execute("delete from esteira.job_live")


async def test_a_job_with_a_key_is_answered_alone_as_it_is_among_others(queue: Any) -> None:
    await queue.register(["of_its_payload"], unique_fields=["id"])
    for arguments, outcomes in {
        "'t', unique_key => 'k'": ["enqueued", "existing"],
        "'t', unique_key => 'k', on_conflict => 'replace'": ["replaced"],
        "'t', unique_key => 'k', on_conflict => 'reject', atomic => false": ["unique_conflict"],
        "'of_its_payload', '{\"id\": 1}'": ["enqueued", "existing"],
        "'t', idempotency_key => 'i'": ["enqueued", "replayed"],
        "'t', '{\"other\": 1}', idempotency_key => 'i', atomic => false": ["idempotency_mismatch"],
    }.items():
        for outcome in outcomes:
            row = await queue.connection.fetchrow(f"select * from esteira.enqueue_one({arguments})")
            assert row["outcome"] == outcome, arguments
            assert (row["queue"] is not None) == (outcome in ("enqueued", "replaced")), arguments
    again = "select outcome from esteira.enqueue_one('t', idempotency_key => 'j')"
    await queue.enqueue(idempotency_key="j")
    assert await queue.connection.fetchval(again) == "replayed"
    with pytest.raises(asyncpg.PostgresError, match="has the unique key"):
        await queue.connection.fetchrow("select esteira.enqueue_one('t', unique_key => 'k', on_conflict => 'reject')")
    with pytest.raises(asyncpg.PostgresError, match="return, replace or reject"):
        await queue.connection.fetchrow("select esteira.enqueue_one('t', on_conflict => 'shrug')")


async def test_a_payload_without_a_task_is_refused(queue: Any) -> None:
    with pytest.raises(asyncpg.NotNullViolationError):
        await queue.connection.fetch("select esteira.enqueue_many(array['t'], array['1', '2']::jsonb[])")
