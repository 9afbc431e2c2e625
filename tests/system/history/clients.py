"""Clients that ask for everything there is, and note in the ledger what they asked for and what they were told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import httpx
import psycopg

from esteira import Client, IdempotencyMismatch, IllegalTransition, KeyInFlight, NewJob, SyncClient, UniqueConflict
from esteira.database import translated
from esteira.errors import DatabaseUnavailable
from esteira.history import Ledger, Request
from esteira.job_filter import JobFilter
from tests.worker.processes import Service

QUICK = ("h.add", "h.add_in_thread")
MOODY = ("h.fail_twice", "h.die_first", "h.snooze_first")
EFFECTS = ("h.both", "h.both_in_thread", "h.both_in_process", "h.both", "h.both_in_thread", "h.both_in_process")
PRIORITIES = ("low", "normal", "high", "critical")
NUMBERS = {"a": 1, "b": 1}
_AGAIN_SECONDS = 0.1
# Longer than anything that a nemesis does to a service.
_ANSWER_WITHIN_SECONDS = 120.0


@dataclass
class Clients:
    """Everybody who talks to the queue. service: those who do it over HTTP, where there is one."""

    client: Client
    sync_client: SyncClient
    ledger: Ledger
    service: Service | None = None


@dataclass
class Person:
    """One client, who decides by a generator of its own. Each action says in its name what is asked for."""

    clients: Clients
    name: str
    random: Random
    jobs: list[UUID] = field(default_factory=list)
    keyed: list[tuple[Request, dict[str, int]]] = field(default_factory=list)

    async def act(self, actions: tuple[Action, ...]) -> None:
        """Do one of these. What is refused, or stays unknown as the database went away, is in the ledger."""
        action = self.random.choice(actions)
        with suppress(DatabaseUnavailable, UniqueConflict, KeyInFlight, IllegalTransition):
            await action(self)

    async def quick_job(self) -> None:
        await self._enqueue(self.random.choice(QUICK), NUMBERS, priority=self.random.choice(PRIORITIES))

    async def moody_job(self) -> None:
        await self._enqueue(self.random.choice(MOODY))

    async def slow_job(self) -> None:
        await self._enqueue("h.sleep", {"seconds": self._seconds(1)}, delay=self._seconds(0.5))

    async def job_with_steps(self) -> None:
        await self._enqueue("h.steps", {"seconds": self._seconds(0.3)})

    async def job_with_child(self) -> None:
        await self._enqueue(self.random.choice(("h.effect", "h.parent")), {"seconds": self._seconds(0.3)})

    async def job_with_effects(self) -> None:
        payload = {"seconds": self._seconds(0.15), "failures": self.random.choice((0, 0, 0, 1))}
        await self._enqueue(self.random.choice(EFFECTS), payload)

    async def job_that_expires(self) -> None:
        """Name a task that somebody knows, or one that nobody does."""
        expires = datetime.now(UTC) + timedelta(seconds=0.2 + self._seconds(2))
        await self._enqueue(self.random.choice(("h.add", "h.unknown")), NUMBERS, expires_at=expires)
        # A retry would take its expiry away: the unknown one would wait for ever.
        self.jobs.pop()

    async def job_with_unique_key(self) -> None:
        policy = self.random.choice(("return", "replace", "reject"))
        await self._enqueue("h.sleep", {"seconds": 0.3}, unique_key=self.random.choice("abc"), on_conflict=policy)

    async def many_jobs(self, number: int = 10) -> None:
        with ExitStack() as stack:
            requests = [stack.enter_context(self.clients.ledger.request()) for _ in range(number)]
            jobs = [NewJob("h.add", NUMBERS, metadata=request.metadata) for request in requests]
            for request, job_id in zip(requests, await self.clients.client.enqueue_many(jobs), strict=True):
                request.acknowledged(job_id)

    async def job_in_transaction(self) -> None:
        """Commit or roll back what else the caller did."""
        with self.clients.ledger.request() as request:
            async with self.clients.client.database.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                job = await self.clients.client.enqueue("h.add", NUMBERS, db=connection, metadata=request.metadata)
                await asyncio.sleep(self._seconds(0.3))
                with translated():
                    if self.random.random() < 0.5:
                        await transaction.commit()
                        request.acknowledged(job.id)
                    else:
                        await transaction.rollback()
                        request.rolled_back(job_id=str(job.id))

    async def sync_job(self) -> None:
        await asyncio.to_thread(self._enqueue_plainly, self.random.choice(QUICK))

    async def sync_job_in_transaction(self) -> None:
        await asyncio.to_thread(self._enqueue_in_transaction, commits=self.random.random() < 0.5)

    async def job_over_http(self) -> None:
        if self.clients.service is not None:
            await asyncio.to_thread(self._post, f"{self.name}, post {self.random.random()}")

    async def request_with_key(self) -> None:
        """Ask until there is an answer, then ask once more."""
        payload = {"a": self.random.randrange(1000), "b": 1}
        with self.clients.ledger.request(f"{self.name}, {self.random.random()}", payload) as request:
            for _ in range(2):
                await self._until_answered(request, payload)
        self.keyed.append((request, payload))

    async def old_request_again(self) -> None:
        if self.keyed:
            request, payload = self.random.choice(self.keyed)
            request.again()
            await self._until_answered(request, payload)

    async def old_key_for_something_else(self) -> None:
        if self.keyed:
            old, _ = self.random.choice(self.keyed)
            with suppress(IdempotencyMismatch):
                await self._enqueue("h.add", {"a": -1, "b": 1}, idempotency_key=old.key)

    async def cancel(self) -> None:
        """Cancel a job that waits, or one that may run by then."""
        later = self.random.random() < 0.5
        await self._enqueue("h.sleep", {"seconds": 5}, delay="1h" if later else "0s")
        await asyncio.sleep(0 if later else self._seconds(0.5))
        await self._cancel(self.jobs[-1])

    async def cancel_any(self) -> None:
        if self.jobs:
            await self._cancel(self.random.choice(self.jobs))

    async def retry_any(self) -> None:
        if self.jobs:
            await self.clients.client.retry(self.random.choice(self.jobs))

    async def retry_the_dead(self) -> None:
        await self.clients.client.retry_many(JobFilter(status=["dead"]))

    async def _enqueue(self, task: str, payload: Any = None, **options: Any) -> None:
        with self.clients.ledger.request(options.get("idempotency_key"), [task, payload]) as request:
            handle = await self.clients.client.enqueue(task, payload, metadata=request.metadata, **options)
            request.acknowledged(handle.id)
            self.jobs.append(handle.id)

    async def _until_answered(self, request: Request, payload: dict[str, int]) -> None:
        while True:
            try:
                handle = await self.clients.client.enqueue(
                    "h.add", payload, metadata=request.metadata, idempotency_key=request.key
                )
            except (DatabaseUnavailable, KeyInFlight):
                await asyncio.sleep(_AGAIN_SECONDS)
                request.again()
            else:
                return request.acknowledged(handle.id)

    async def _cancel(self, job: UUID) -> None:
        answer = await self.clients.client.database.fetchval("select esteira.cancel($1)", job)
        self.clients.ledger.cancelled(job, answer)

    def _enqueue_plainly(self, task: str) -> None:
        with self.clients.ledger.request() as request:
            handle = self.clients.sync_client.enqueue(task, NUMBERS, metadata=request.metadata)
            request.acknowledged(handle.id)

    def _enqueue_in_transaction(self, *, commits: bool) -> None:
        client = self.clients.sync_client
        with (
            self.clients.ledger.request() as request,
            translated(),
            psycopg.connect(client.database.url) as connection,
        ):
            job = client.enqueue("h.add", NUMBERS, db=connection, metadata=request.metadata)
            if commits:
                connection.commit()
                request.acknowledged(job.id)
            else:
                connection.rollback()
                request.rolled_back(job_id=str(job.id))

    def _post(self, key: str) -> None:
        """Ask until there is an answer, of whichever service there is by then."""
        with self.clients.ledger.request(key, NUMBERS) as request:
            body = {"task": "h.add", "payload": NUMBERS, "metadata": request.metadata}
            # 409: what was sent before is still under way.
            deadline = time.monotonic() + _ANSWER_WITHIN_SECONDS
            while (answer := self._answer(body, key)) is None or answer.status_code in (409, 503):
                assert time.monotonic() < deadline, f"no answer within {_ANSWER_WITHIN_SECONDS} s, but {answer!r}"
                if answer is not None:
                    assert int(answer.headers["Retry-After"]) > 0, answer.text
                time.sleep(_AGAIN_SECONDS)
                request.again()
            assert answer.status_code in (200, 202), answer.text
            request.acknowledged(answer.json()["id"])

    def _answer(self, body: dict[str, Any], key: str) -> httpx.Response | None:
        assert self.clients.service is not None
        with suppress(httpx.TransportError):
            return self.clients.service.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})
        return None

    def _seconds(self, most: float) -> float:
        return round(self.random.uniform(0, most), 3)


Action = Callable[[Person], Awaitable[None]]
ANY_ACTION: tuple[Action, ...] = (
    Person.quick_job,
    Person.quick_job,
    Person.moody_job,
    Person.slow_job,
    Person.job_with_steps,
    Person.job_with_child,
    Person.job_with_effects,
    Person.job_with_effects,
    Person.job_that_expires,
    Person.job_with_unique_key,
    Person.many_jobs,
    Person.job_in_transaction,
    Person.sync_job,
    Person.sync_job_in_transaction,
    Person.job_over_http,
    Person.request_with_key,
    Person.old_request_again,
    Person.old_key_for_something_else,
    Person.cancel,
    Person.cancel_any,
    Person.retry_any,
    Person.retry_the_dead,
)
EFFECT_ACTIONS: tuple[Action, ...] = (Person.job_with_effects, Person.job_with_effects, Person.retry_the_dead)


# What somebody enqueued for later, to cancel it, and lost sight of: an answer was lost.
CANCEL_LATER = """
select count(*) from esteira.cancel_many(array(
    select id from esteira.job_live where status = 'queued' and run_at > esteira.now() + interval '30 minutes'))
"""


async def ask_for(
    clients: Clients, actions: tuple[Action, ...], *, seed: int, seconds: float, people: int = 6, pause: float = 0.1
) -> None:
    """Let people ask for these things, for so long. pause: the longest between two questions of one of them."""
    async with asyncio.TaskGroup() as group:
        for number in range(people):
            person = Person(clients, f"{seed}/{number}", Random(f"{seed}/{number}"))
            group.create_task(_ask(person, actions, seconds, pause))


async def _ask(person: Person, actions: tuple[Action, ...], seconds: float, pause: float) -> None:
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        await person.act(actions)
        await asyncio.sleep(person.random.uniform(0, pause))
