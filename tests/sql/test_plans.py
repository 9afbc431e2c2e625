"""Plans as they fail in life. What is bounded is blocks touched, the same on every machine; seconds are not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable

ROWS = 100_000
THEN = datetime(2030, 1, 1, tzinfo=UTC)
BLOCKS = """
select (coalesce(sum(heap_blks_hit + heap_blks_read), 0) + coalesce(sum(idx_blks_hit + idx_blks_read), 0))::bigint
from pg_statio_user_tables where schemaname = 'esteira' and relname in ('job_live', 'job_dead', 'activity')"""
LIVE_ENTRIES = "select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = 'job_live'"
ENTRIES = "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'job_live_ready'"


async def number(queue: Any, query: str) -> int:
    # Statistics are sent when a statement has ended, and only now and then unless asked.
    await queue.connection.execute("select pg_stat_force_next_flush()")
    found: int = await queue.connection.fetchval(query)
    return found


async def blocks(queue: Any) -> int:
    return await number(queue, BLOCKS)


class Meter:
    """Use every verb that looks for jobs, and note the blocks that each touched."""

    def __init__(self, queue: Any) -> None:
        self.queue = queue
        self.cost: dict[str, int] = {}

    async def measured(self, verb: str, answer: Awaitable[Any]) -> Any:
        before = await blocks(self.queue)
        found = await answer
        self.cost[verb] = await blocks(self.queue) - before
        return found

    async def call(self, verb: str, *arguments: Any) -> Any:
        return await self.measured(verb, self.queue.call(verb, *arguments))

    async def one(self) -> tuple[UUID, int]:
        (row,) = await self.measured("claim one", self.queue.claim(1))
        return row["id"], row["attempt"]

    async def handlers(self) -> None:
        """What an engine does for one job at a time."""
        job = await self.one()
        assert await self.call("progress", *job, 0.5, None, None)
        assert await self.call("save_step", *job, str(job[1]), "1", THEN)
        assert await self.call("hold", *job)
        assert await self.measured("fail", self.queue.fail(*job)) == "queued"
        assert await self.call("snooze", *await self.one(), timedelta(days=1))
        job = await self.one()
        assert await self.call("release", [job[0]], [job[1]])

    async def people(self) -> None:
        job = await self.one()
        assert await self.measured("cancel of a running job", self.queue.call("cancel", job[0]))
        beat = self.queue.connection.fetch("select * from esteira.heartbeat($1)", self.queue.worker)
        assert len(await self.measured("heartbeat", beat)) == 1
        assert await self.call("acknowledge_cancel", *job)
        job = await self.one()
        assert await self.measured("last failure", self.queue.fail(*job, retryable=False)) == "dead"
        assert await self.call("retry", job[0]) == job[0]
        assert await self.call("cancel", job[0]) == "cancelled"

    async def workers(self) -> None:
        for verb, *more in (("crash", 0, "gone"), ("rescue",), ("retire",)):
            await self.one()
            assert await self.call(verb, self.queue.worker, *more) == 1
        await self.queue.connection.execute("delete from esteira.worker")
        await self.call("next_ready_at", ["default"], ["t"])
        await self.measured("ready_queues", self.queue.connection.fetch("select esteira.ready_queues()"))

    async def batch(self, size: int) -> tuple[float, float]:
        """Give the blocks per job of a claim and of a settle."""
        claimed = await self.measured("claim", self.queue.claim(size))
        jobs, attempts = [row["id"] for row in claimed], [row["attempt"] for row in claimed]
        settle = self.queue.connection.fetch("select esteira.complete($1, $2, $3)", jobs, attempts, [None] * size)
        assert len(await self.measured("complete", settle)) == size
        return self.cost.pop("claim") / size, self.cost.pop("complete") / size


async def live(meter: Meter, batch: int) -> tuple[float, float]:
    await meter.queue.register()
    await meter.handlers()
    await meter.people()
    await meter.workers()
    return await meter.batch(batch)


@pytest.mark.parametrize("cached", [True, False], ids=["cached_on_20_rows", "without_statistics"])
async def test_every_verb_stays_on_its_index_when_the_table_has_grown_unseen(queue: Any, *, cached: bool) -> None:
    await queue.connection.execute("alter table esteira.job_live set (autovacuum_enabled = off)")
    meter = Meter(queue)
    if cached:
        await queue.enqueue_many(20)
        await queue.connection.execute("vacuum analyze esteira.job_live")
        for _ in range(7):
            await live(meter, 5)
            await queue.enqueue_many(10)
    await queue.enqueue_many(ROWS)

    claim, complete = await live(meter, 200)
    assert claim < 15
    assert complete < 18
    # The whole table is 1,900 blocks.
    assert max(meter.cost.values()) < 100, meter.cost


async def test_what_comes_every_second_steps_over_what_cannot_be_cleaned_away(queue: Any, other: Any) -> None:
    """700,000 such entries took a second of the server's time each second."""
    await queue.register()
    meter = Meter(queue)
    read: dict[str, int] = {}

    async def entries(what: str, query: str) -> None:
        before = await number(queue, LIVE_ENTRIES)
        await queue.connection.fetch(query)
        read[what] = await number(queue, LIVE_ENTRIES) - before

    async with other.connection.transaction(isolation="repeatable_read"):
        await other.connection.fetchval("select pg_current_xact_id()")
        await queue.enqueue_many(1000)
        await meter.batch(1000)
        await queue.call("tick")
        await entries("all queues", "select esteira.ready_queues()")
        await entries("other queues", "select esteira.ready_queues('{default}')")
        await entries("thorough tick", "select esteira.tick(6, true)")
        await entries("tick", "select esteira.tick(6, false)")
    assert min(read["all queues"], read["thorough tick"]) >= 1000, read
    assert max(read["other queues"], read["tick"]) < 10, read


async def test_no_verb_waits_for_its_plan_to_be_compiled(queue: Any) -> None:
    """Before PostgreSQL 18 a scan that is off but needed costs 10^10, and what costs that much is compiled."""
    if not await queue.connection.fetchval("select pg_jit_available()"):
        pytest.skip("this PostgreSQL compiles nothing")
    said: list[str] = []
    queue.connection.add_log_listener(lambda _, message: said.append(message.message))
    await queue.connection.execute(
        "load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;"
        "set auto_explain.log_analyze = on; set client_min_messages = log"
    )
    await queue.enqueue_many(20)
    await live(Meter(queue), 5)
    await queue.call("tick")
    await queue.call("purge", "nowhere")
    await queue.call("enqueue", "t")
    await queue.enqueue(unique_key="k", idempotency_key="k")
    await queue.connection.fetch("select * from esteira.job as job, lateral esteira.explain(job.id)")
    await queue.connection.execute("set client_min_messages = notice")
    assert any("esteira.worker" in message for message in said)
    assert [message for message in said if "JIT:" in message] == []


async def test_ten_thousand_at_once_cost_as_much_a_job_as_one(queue: Any) -> None:
    """Also with plans made for one: where each job is compared with each, it takes minutes."""
    await queue.connection.execute("alter table esteira.job_live set (autovacuum_enabled = off)")
    await queue.enqueue_many(20)
    await queue.connection.execute("vacuum analyze esteira.job_live")
    meter = Meter(queue)
    for _ in range(8):
        job = await queue.enqueue()
        await queue.call("cancel", job)
        await queue.call("retry", job)
        (row,) = await queue.claim(1)
        await queue.fail(row["id"], row["attempt"], retryable=False)
        await queue.call("discard", row["id"])
    jobs = await queue.enqueue_many(10_000)
    await queue.connection.execute("set statement_timeout = '60s'")
    await queue.connection.execute(
        "insert into esteira.activity (job_id, attempt, updated_at) select unnest($1::uuid[]), 0, now()", jobs
    )
    many = "select count(*) from esteira.{}($1)"
    for verb in ("cancel_many", "retry_many", "cancel_many"):
        counted = queue.connection.fetchval(many.format(verb), jobs)
        assert await meter.measured(verb, counted) == len(jobs)
    await queue.rows("retry_many", jobs)
    await queue.claim(20_000)
    counted = queue.connection.fetchval(many.format("cancel_many"), jobs)
    assert await meter.measured("cancel_many of running ones", counted) == len(jobs)
    error = json.dumps({"type": "ValueError", "message": "no"})
    await queue.connection.execute("update esteira.job_live set error = $1 where status = 'running'", error)
    await queue.connection.fetchval("select esteira.finish($1, 'dead', 'crashed', now())", jobs)
    counted = queue.connection.fetchval(many.format("discard_many"), jobs)
    assert await meter.measured("discard_many", counted) == len(jobs)
    assert max(meter.cost.values()) < 100 * len(jobs), meter.cost


async def test_a_claim_does_not_look_at_a_paused_queue_or_at_tasks_that_are_all_paused(queue: Any) -> None:
    await queue.register(["t", "u"])
    await queue.enqueue_many(ROWS // 2)
    await queue.enqueue_many(ROWS // 2, queue="paused")
    job = await queue.enqueue("u", queue="open")
    await queue.connection.execute("analyze esteira.job_live")
    meter = Meter(queue)
    await queue.call("pause", "paused")
    lanes = [("paused", 1), ("open", 1)]
    claim = queue.claim(tasks=["t", "u"], lanes=lanes)
    assert [row["id"] for row in await meter.measured("beside a paused queue", claim)] == [job]
    await queue.call("pause_task", "t")
    assert await meter.measured("all tasks paused", queue.claim()) == []
    await queue.call("pause_task", "u")
    await queue.enqueue("u")
    assert await meter.measured("both tasks paused", queue.claim(tasks=["t", "u"])) == []
    assert max(meter.cost.values()) < 60, meter.cost


async def test_paused_and_expired_jobs_at_the_head_of_a_lane_cost_nothing_above_the_floor(queue: Any) -> None:
    await queue.register(["t", "u"])
    jobs = await queue.enqueue_many(ROWS // 4, task="u")
    late = await queue.connection.fetch(
        "select id from esteira.enqueue_many(array_fill('t'::text, $1), expires_ats => array_fill(esteira.now(), $1))",
        [ROWS // 4],
    )
    floor = (datetime.now(UTC).isoformat(), UUID(int=0))
    fresh = await queue.enqueue()
    await queue.call("pause_task", "u")
    meter = Meter(queue)
    claim = queue.claim(1, tasks=["t", "u"], floor=floor)
    assert [row["id"] for row in await meter.measured("claim", claim)] == [fresh]
    assert meter.cost["claim"] < 60
    # What has expired goes batch by batch, so that a sweep does not step over it for long.
    sizes = [await meter.measured("expire", queue.call("expire")) for _ in range(6)]
    assert (sizes, sum(sizes)) == ([5_000] * 5 + [0], len(late))
    assert await queue.count("job_live") == len(jobs) + 1


@pytest.mark.parametrize("statistics", ["empty", "stale", "fresh"])
async def test_expiry_and_keys_are_looked_up_in_their_indexes(queue: Any, statistics: str) -> None:
    await queue.connection.execute("alter table esteira.job_live set (autovacuum_enabled = off)")
    meter = Meter(queue)

    async def look() -> None:
        for policy in ("return", "replace"):
            again = queue.enqueue_batch(["t"], unique_keys=["k"], on_conflicts=[policy])
            ((_, _, outcome),) = await meter.measured(policy, again)
            assert outcome == {"return": "existing", "replace": "replaced"}[policy]
        await meter.measured("new key", queue.enqueue(unique_key=str(uuid4())))
        await queue.enqueue(expires_at=THEN - timedelta(days=9999))
        assert await meter.measured("expire", queue.call("expire")) == 1

    await queue.enqueue(unique_key="k")
    if statistics == "stale":
        await queue.connection.execute("vacuum analyze esteira.job_live")
        for _ in range(7):
            await look()
    await queue.connection.execute(
        "select esteira.enqueue_many(array_fill('t'::text, $1), expires_ats => array_fill($2::timestamptz, $1),"
        " unique_keys => array(select 'k' || n from generate_series(1, $3) as n))",
        [ROWS],
        datetime(2200, 1, 1, tzinfo=UTC),
        ROWS,
    )
    # Begun and past their time: they wait for another attempt, at the head of what would expire.
    await queue.connection.execute(
        "update esteira.job_live set attempt = 1, expires_at = '2020-01-01' where unique_key like 'k%0'"
    )
    if statistics == "fresh":
        await queue.connection.execute("vacuum analyze esteira.job_live")
    meter.cost.clear()
    await look()
    assert max(meter.cost.values()) < 100, meter.cost


async def round_of(queue: Any, jobs: int, floor: Any = None) -> tuple[int, int, Any]:
    """Enqueue, claim and complete; give the blocks touched, the entries of the claims' index read, the last pair."""
    made = await queue.enqueue_many(jobs)
    before = await blocks(queue), await queue.connection.fetchval(ENTRIES)
    left = len(made)
    while left:
        claimed = await queue.claim(500, **({"floor": floor} if floor else {}))
        left -= len(await queue.complete(*(row["id"] for row in claimed)))
        if floor:
            floor = (claimed[-1]["ready_at"].isoformat(), claimed[-1]["id"])
    return await blocks(queue) - before[0], await queue.connection.fetchval(ENTRIES) - before[1], floor


async def held_rounds(queue: Any, other: Any, floor: Any) -> list[tuple[int, int]]:
    rounds = []
    async with other.connection.transaction(isolation="repeatable_read"):
        await other.connection.execute("select pg_current_xact_id(), count(*) from esteira.job_live")
        for _ in range(6):
            touched, read, floor = await round_of(queue, 4_000, floor)
            rounds.append((touched, read))
    return rounds


async def test_under_a_held_snapshot_the_sixth_round_costs_as_much_as_the_first(queue: Any, other: Any) -> None:
    rounds = await held_rounds(queue, other, ("2000-01-01T00:00:00Z", UUID(int=0)))
    (first_touched, first_read), (last_touched, last_read) = rounds[0], rounds[-1]
    assert last_touched <= 1.5 * first_touched, rounds
    assert last_read <= 1.5 * first_read, rounds


async def test_without_floors_it_would_climb(queue: Any, other: Any) -> None:
    rounds = await held_rounds(queue, other, None)
    assert rounds[-1][1] > 3 * rounds[0][1], "then the test above sees nothing"
