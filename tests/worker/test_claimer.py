from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import pytest
import pytest_asyncio

from esteira.database import Database
from esteira.running import Claimed
from esteira_worker.buffer import Buffer
from esteira_worker.claimer import Claimer, _Rate
from esteira_worker.endings import Completed
from esteira_worker.settler import Settler
from esteira_worker.spacing import Spacing
from tests.worker.conftest import Claim, Enqueue, Events, Flaky, until


class Bench:
    """A claimer that runs with its buffer and settler, and slots that are the test itself."""

    def __init__(self, database: Database, worker_id: UUID, queues: Sequence[str] | None) -> None:
        self.buffer = Buffer()
        self.settler = Settler(database)
        self.tasks = [asyncio.create_task(self.settler.run())]
        self.taken: set[tuple[UUID, int]] = set()
        self.claimer = Claimer(
            database,
            worker_id,
            1,
            ["t.noop"],
            queues,
            self.buffer,
            self.settler,
            lambda: self.taken | self.buffer.holds(),
        )
        self.resume()

    def resume(self) -> None:
        """Claim, until there is a suspect."""
        self.tasks.append(asyncio.create_task(self.claimer.run()))

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def take(self, n: int = 1, within: float = 5) -> list[Claimed]:
        """Wait for jobs, with as many slots as are asked for."""
        async with asyncio.timeout(within):
            jobs = await asyncio.gather(*(self.buffer.take() for _ in range(n)))
        self.taken |= {(job.id, job.attempt) for job in jobs}
        return jobs


Open = Callable[..., Bench]


@pytest_asyncio.fixture
async def bench(flaky: Flaky, worker_id: UUID) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        def start(queues: Sequence[str] | None = None) -> Bench:
            bench = Bench(flaky, worker_id, queues)
            stack.push_async_callback(bench.close)
            return bench

        yield start


async def test_jobs_are_claimed_for_the_slots_that_wait_and_no_more(
    bench: Open, enqueue: Enqueue, database: Database
) -> None:
    await enqueue(n=20)
    opened = bench()
    assert len(await opened.take(3)) == 3
    assert await database.fetchval("select count(*) from esteira.job where status = 'running'") == 3


async def test_a_queue_nobody_told_of_is_discovered(bench: Open, enqueue: Enqueue) -> None:
    opened = bench()
    taking = asyncio.create_task(opened.take())
    (job_id,) = await enqueue(queue="never.seen")
    assert (await taking)[0].id == job_id


async def test_a_job_that_was_announced_does_not_wait_while_queues_are_looked_for(
    bench: Open, enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = await enqueue()
    opened = bench()
    opened.tasks.pop().cancel()  # its first turn, in which it would look, is taken here, once a slot waits
    monkeypatch.setattr(opened.claimer, "_discover", asyncio.Event().wait)
    opened.claimer.notified("default")
    taking = asyncio.create_task(opened.take())
    await until(lambda: opened.buffer.idle)
    opened.tasks.append(asyncio.create_task(opened.claimer._turn()))
    assert (await taking)[0].id == job_id


async def test_with_queues_given_no_other_is_touched(bench: Open, enqueue: Enqueue, database: Database) -> None:
    await enqueue(queue="other")
    (ours,) = await enqueue(queue="ours")
    opened = bench(["ours"])
    opened.claimer.notified("other")
    assert [job.id for job in await opened.take()] == [ours]
    waiting = asyncio.create_task(opened.take())
    await enqueue(queue="ours")
    await waiting
    assert await database.fetchval("select count(*) from esteira.job where queue = 'other' and attempt = 0") == 1


async def test_a_wake_up_during_a_claim_is_not_lost(bench: Open, enqueue: Enqueue) -> None:
    opened = bench(["default"])
    for _ in range(20):
        taking = asyncio.create_task(opened.take(within=0.5))
        await enqueue()
        opened.claimer.notified("default")
        await taking


async def test_a_job_ready_soon_is_claimed_at_its_time_after_another_was_claimed(
    bench: Open, enqueue: Enqueue, database: Database
) -> None:
    (soon,) = await enqueue()
    await database.fetch("update esteira.job_live set run_at = run_at + '0.5 s', ready_at = ready_at + '0.5 s'")
    await enqueue()
    opened = bench(["default"])
    assert [job.id for job in await opened.take(2) if job.id == soon] == [soon]
    late = "select extract(epoch from started_at - ready_at)::float8 from esteira.job where id = $1"
    assert 0 <= await database.fetchval(late, soon) < 0.3


async def test_a_claim_whose_reply_was_lost_is_given_back_and_claimed_again(
    bench: Open, enqueue: Enqueue, flaky: Flaky, database: Database, events: Events
) -> None:
    ids = await enqueue(n=5)
    flaky.losses, flaky.within = 1, "esteira.claim("
    opened = bench()
    jobs = await opened.take(5)
    assert sorted(job.id for job in jobs) == sorted(ids)
    assert {job.attempt for job in jobs} == {2}
    assert [entry["jobs"] for entry in events("stray_jobs_released")] == [5]
    outcomes = await database.fetch("select distinct outcome from esteira.attempt")
    assert [row["outcome"] for row in outcomes] == ["released"]


async def test_what_the_engine_holds_is_no_stray(bench: Open, claim: Claim, enqueue: Enqueue, events: Events) -> None:
    held, stray = await claim(2)
    opened = bench()
    opened.taken.add((held.id, held.attempt))
    assert [job.id for job in await opened.take()] == [stray.id]
    assert len(events("stray_jobs_released")) == 1


async def test_an_error_nobody_expects_ends_no_engine(
    bench: Open, enqueue: Enqueue, database: Database, events: Events
) -> None:
    await database.fetch("alter function esteira.ready_queues(text[]) rename to gone")
    opened = bench()
    taking = asyncio.create_task(opened.take())
    await until(lambda: events("claim_failed"))
    await database.fetch("alter function esteira.gone(text[]) rename to ready_queues")
    (job_id,) = await enqueue()
    assert (await taking)[0].id == job_id


async def test_suspects_come_one_at_a_time_and_are_not_held_for_each_other(
    bench: Open, enqueue: Enqueue, database: Database
) -> None:
    suspects = set(await enqueue(n=3))
    await database.fetch("update esteira.job_live set attempt = 2, crashes = 2")
    opened = bench()
    waiting = asyncio.create_task(opened.take(5))
    while suspects:
        await until(lambda: opened.claimer.suspect)
        job, opened.claimer.suspect = opened.claimer.suspect, None
        assert job is not None
        suspects.remove(job.id)
        await asyncio.wait_for(opened.settler.drain(), 5)
        running = await database.fetch("select id from esteira.job where status = 'running'")
        assert [row["id"] for row in running] == [job.id]
        opened.settler.put(job, Completed("1"))
        await asyncio.wait_for(opened.settler.drain(), 5)
        opened.resume()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_what_is_claimed_ahead_follows_how_fast_jobs_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    rate = _Rate()
    for _ in range(50):
        rate.took(0.01)
    finished = 0
    assert rate.ahead(finished) == 0
    for _ in range(50):  # 10,000 jobs a second
        now, finished = now + 0.01, finished + 100
        ahead = rate.ahead(finished)
    assert ahead == pytest.approx(200, rel=0.1)
    now, finished = now + 1, finished + 1
    assert rate.ahead(finished) == 0


@pytest.mark.parametrize("back", [2.0, 3600.0])
async def test_a_clock_that_went_back_hides_no_job(
    bench: Open, enqueue: Enqueue, database: Database, back: float
) -> None:
    opened = bench(["default"])
    await enqueue()
    await opened.take()
    # What is enqueued after the clock went back lies below the floor.
    (job_id,) = await enqueue()
    await database.fetch(
        "update esteira.job_live set ready_at = ready_at - make_interval(secs => $1) where status = 'queued'", back
    )
    assert [job.id for job in await opened.take()] == [job_id]


async def test_engines_share_the_sweeping(bench: Open, enqueue: Enqueue) -> None:
    opened = bench(["default"])
    shared: list[int] = []

    class Noting(Spacing):
        def due(self, now: float, sharers: int) -> bool:
            shared.append(sharers)
            return super().due(now, sharers)

    opened.claimer._sweeps = Noting()
    opened.claimer.engines = 40
    await enqueue()
    await opened.take()
    assert set(shared) == {40}
