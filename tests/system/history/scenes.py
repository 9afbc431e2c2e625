"""Short plays on a queue whose history is recorded, each by sessions that call the verbs as engines and clients do.

They are deterministic: who waits for whom is arranged, not left to luck. On the queue as it is every invariant holds
after each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

import asyncpg

from esteira.history import Ledger
from tests.sql.conftest import Queue


class OpenSession(Protocol):
    async def __call__(self, name: str = ..., worker: UUID | None = None) -> Queue: ...


@dataclass
class Stage:
    """Where a scene is played. people: the session of whoever is no engine."""

    open_session: OpenSession
    people: Queue
    ledger: Ledger

    async def engine(self, worker: UUID | None = None) -> Queue:
        """Open a session as an engine of the worker does, by default of a new one."""
        worker = worker or uuid4()
        return await self.open_session(f"esteira/{worker}/0", worker)

    async def zombie(self) -> tuple[Queue, Queue, UUID]:
        """Let a worker be given up that lives on; return its new session, another engine, and the job it lost."""
        slow, quick = await self.engine(), await self.engine()
        job = await slow.running()
        await self.people.call("rescue", slow.worker)
        return await self.engine(slow.worker), quick, job

    async def ask(self, payload: object, key: str | None = None) -> UUID | None:
        """Send a request as a client does; None: it is refused."""
        with self.ledger.request(key, payload) as request:
            try:
                rows = await self.people.enqueue_batch(
                    ["t"], payloads=[f'"{payload}"'], idempotency_keys=[key], metadata=[_json(request.metadata)]
                )
            except asyncpg.PostgresError as error:
                request.refused(sqlstate=error.sqlstate)
                return None
            request.acknowledged(rows[0]["id"])
            return rows[0]["id"]  # type: ignore[no-any-return]


Scene = Callable[[Stage], Awaitable[None]]


async def a_zombie_completes_what_another_runs(stage: Stage) -> None:
    zombie, quick, job = await stage.zombie()
    await quick.claim()
    await zombie.complete(job)
    await quick.complete(job, attempt=2)


async def a_zombie_completes_what_waits(stage: Stage) -> None:
    zombie, quick, job = await stage.zombie()
    await zombie.complete(job)
    await _finish(quick, job, 2)


async def a_zombie_fails_what_another_runs(stage: Stage) -> None:
    zombie, quick, job = await stage.zombie()
    await quick.claim()
    await zombie.fail(job, retryable=False)
    await quick.complete(job, attempt=2)


async def a_zombie_stores_a_step(stage: Stage) -> None:
    zombie, quick, job = await stage.zombie()
    await quick.claim()
    await _save_step(zombie, job)
    await quick.complete(job, attempt=2)


async def a_step_is_committed_late(stage: Stage) -> None:
    slow, quick = await stage.engine(), await stage.engine()
    job = await slow.running()
    step = slow.connection.transaction()
    await step.start()
    await _save_step(slow, job)
    release = asyncio.create_task(stage.people.call("release", [job], [1]))
    waits = asyncio.create_task(quick.until_blocked(stage.people))
    # As it should be it waits for the step; without the lock it does not.
    await asyncio.wait([release, waits], return_when=asyncio.FIRST_COMPLETED)
    if not release.done():
        await step.commit()
    await release
    waits.cancel()
    await asyncio.wait([waits])
    await _finish(quick, job, 2)
    with suppress(asyncpg.InterfaceError):
        await step.commit()


async def a_zombie_commits_an_effect(stage: Stage) -> None:
    zombie, quick, job = await stage.zombie()
    await quick.claim()
    await _complete_with_effect(zombie, job, 1)
    await _complete_with_effect(quick, job, 2)


async def two_engines_claim_at_once(stage: Stage) -> None:
    first, second = await stage.engine(), await stage.engine()
    job = await stage.people.enqueue()
    claiming = first.connection.transaction()
    await claiming.start()
    await first.claim()
    also = asyncio.create_task(second.claim())
    waits = asyncio.create_task(stage.people.until_blocked(second))
    # As it should be it skips the locked row; without the lock it waits for it.
    await asyncio.wait([also, waits], return_when=asyncio.FIRST_COMPLETED)
    await claiming.commit()
    taken = await also
    waits.cancel()
    await asyncio.wait([waits])
    await first.complete(job)
    if taken:
        await second.complete(job, attempt=2)


async def a_job_is_released_and_claimed(stage: Stage) -> None:
    engine = await stage.engine()
    job = await engine.running()
    await engine.call("release", [job], [1])
    await _finish(engine, job, 2)


async def a_job_fails_and_is_claimed(stage: Stage) -> None:
    engine = await stage.engine()
    job = await engine.running(retry_first=timedelta(0))
    await engine.fail(job)
    await _finish(engine, job, 2)


async def a_job_completes(stage: Stage) -> None:
    engine = await stage.engine()
    await engine.complete(await engine.running())


async def a_job_dies(stage: Stage) -> None:
    engine = await stage.engine()
    await engine.fail(await engine.running(), retryable=False)


async def the_clock_jumps(stage: Stage) -> None:
    engine = await stage.engine()
    await engine.register()
    await engine.rows("heartbeat", engine.worker)
    await _wait(stage.people, timedelta(hours=1))
    await stage.people.call("tick")


async def many_workers_tick_at_once(stage: Stage) -> None:
    engine = await stage.engine()
    await engine.register()
    await engine.rows("heartbeat", engine.worker)
    await _wait(stage.people, timedelta(seconds=1))
    await stage.people.call("tick")
    await _wait(stage.people, timedelta(seconds=1))
    for _ in range(6):
        await stage.people.call("tick")


async def a_worker_is_lost(stage: Stage) -> None:
    _, quick, job = await stage.zombie()
    await _finish(quick, job, 2)


async def a_cancelled_job_is_released(stage: Stage) -> None:
    engine = await stage.engine()
    job = await engine.running()
    stage.ledger.cancelled(job, await stage.people.call("cancel", job))
    await engine.call("release", [job], [1])
    await _finish(engine, job, 2)


async def a_job_with_progress_is_cancelled(stage: Stage) -> None:
    engine = await stage.engine()
    job = await engine.running()
    await engine.call("progress", job, 1, 0.5, "halfway", None)
    stage.ledger.cancelled(job, await stage.people.call("cancel", job))
    await engine.complete(job)


async def a_dead_job_is_retried(stage: Stage) -> None:
    engine = await stage.engine()
    job = await engine.running()
    await engine.fail(job, retryable=False)
    await stage.people.call("retry", job)
    await _finish(engine, job, 2)


async def a_completed_job_is_retried(stage: Stage) -> None:
    engine = await stage.engine()
    job = await engine.running()
    await engine.complete(job)
    with suppress(asyncpg.PostgresError):
        await stage.people.call("retry", job)
    await _finish(engine, job, 2)


async def an_expired_job_is_looked_for(stage: Stage) -> None:
    engine = await stage.engine()
    job = await stage.people.enqueue(expires_at=await stage.people.call("now"))
    await _finish(engine, job, 1)
    await stage.people.call("expire")


async def a_job_is_not_due(stage: Stage) -> None:
    engine = await stage.engine()
    job = await stage.people.enqueue(delay=timedelta(hours=1))
    await _finish(engine, job, 1)
    await stage.people.call("purge", "default")


async def a_job_is_snoozed(stage: Stage) -> None:
    engine = await stage.engine()
    job = await engine.running()
    await engine.call("snooze", job, 1, timedelta(hours=1))
    await _finish(engine, job, 2)
    await stage.people.call("purge", "default")


async def a_request_is_sent_twice(stage: Stage) -> None:
    for _ in range(2):
        await stage.ask("the same", "k")
    await stage.people.call("purge", "default")


async def a_key_is_used_for_something_else(stage: Stage) -> None:
    for payload in ("one thing", "another"):
        await stage.ask(payload, "k")
    await stage.people.call("purge", "default")


async def retention_passes_two_hours_later(stage: Stage) -> None:
    """Leave one job that waits where another has ended long ago."""
    engine = await stage.engine()
    job = await stage.ask("done", "k")
    assert job is not None
    await _finish(engine, job, 1)
    await stage.people.connection.execute("select esteira.set_retention('default', finished => '1 hour')")
    await _wait(stage.people, timedelta(hours=2))
    await engine.enqueue(delay=timedelta(hours=3))
    await stage.people.call("retain")
    await stage.people.call("purge", "default")


async def _finish(engine: Queue, job: UUID, attempt: int) -> None:
    """Claim and complete it, if it can be had."""
    if await engine.claim():
        await engine.complete(job, attempt=attempt)


async def _save_step(session: Queue, job: UUID) -> None:
    await session.call("save_step", job, 1, "charge", "1", await session.call("now"), None)


async def _complete_with_effect(session: Queue, job: UUID, attempt: int) -> None:
    """Do what ctx.transaction() does."""
    transaction = session.connection.transaction()
    await transaction.start()
    held = await session.call("hold", job, attempt)
    await session.connection.execute("insert into public.effect values ($1, $2)", job, attempt)
    if held and await session.complete(job, attempt=attempt):
        await transaction.commit()
    else:
        await transaction.rollback()


async def _wait(session: Queue, time: timedelta) -> None:
    """Set a session's clock so much later."""
    later = await session.call("now") + time
    await session.connection.execute("select set_config('esteira.fake_now', $1, false)", str(later))


def _json(value: Any) -> str:
    return str(value).replace("'", '"')
