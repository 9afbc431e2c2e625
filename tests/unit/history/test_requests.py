"""No phantom, Idempotency: each is seen to fail."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from esteira.errors import DatabaseUnavailable, InvalidInput
from esteira.history import Ledger, Request
from tests.sql.conftest import Queue
from tests.unit.history.conftest import Check, First


async def enqueue(queue: Queue, request: Request, **options: object) -> UUID:
    return await queue.enqueue(metadata=f'{{"request": "{request.id}"}}', **options)


async def test_what_was_acknowledged_or_is_unknown_is_no_phantom(queue: Queue, first: First, ledger: Ledger) -> None:
    with ledger.request() as request:
        request.acknowledged(await queue.enqueue())
    with pytest.raises(DatabaseUnavailable), ledger.request() as request:  # noqa: PT012 - a request is a block
        await enqueue(queue, request)
        raise DatabaseUnavailable("the reply was lost")
    with ledger.request():
        pass
    assert await first(ledger=ledger.path) is None


async def test_a_job_that_nobody_asked_for_is_a_phantom(queue: Queue, first: First, ledger: Ledger) -> None:
    with ledger.request() as request:
        request.acknowledged(await enqueue(queue, request))
    assert await first(ledger=ledger.path) is None
    job = await queue.enqueue()
    phantom = ("No phantom", job, "it was enqueued, and the ledger knows no request for it")
    assert await first(ledger=ledger.path) == phantom
    assert await first(ledger=ledger.path, whole_ledger=False) is None


async def test_a_job_of_a_refused_request_is_a_phantom(queue: Queue, first: First, ledger: Ledger) -> None:
    with pytest.raises(InvalidInput), ledger.request() as request:  # noqa: PT012 - a request is a block
        job = await enqueue(queue, request)
        raise InvalidInput("no")
    refused = f"it was enqueued by the request {request.id}, which was refused"
    assert await first(ledger=ledger.path) == ("No phantom", job, refused)


async def test_a_job_that_was_rolled_back_is_a_phantom(queue: Queue, first: First, ledger: Ledger) -> None:
    with ledger.request() as request:
        job = await enqueue(queue, request)
        request.rolled_back()
    rolled_back = f"it was enqueued by the request {request.id}, which was rolled back"
    assert await first(ledger=ledger.path) == ("No phantom", job, rolled_back)


async def test_a_job_that_is_said_to_be_rolled_back_is_a_phantom(queue: Queue, first: First, ledger: Ledger) -> None:
    job = await queue.enqueue()
    ledger.note("rolled_back", job_id=str(job))
    told = "it was rolled back (line 1 of the ledger)"
    assert await first(ledger=ledger.path, whole_ledger=False) == ("No phantom", job, told)


async def test_a_second_job_of_one_request_is_a_phantom(queue: Queue, first: First, ledger: Ledger) -> None:
    with ledger.request() as request:
        request.acknowledged(await enqueue(queue, request))
        second = await enqueue(queue, request)
    other = f"it was enqueued by the request {request.id}, which made another"
    assert await first(ledger=ledger.path) == ("No phantom", second, other)


async def test_a_key_that_goes_to_another_job_breaks_idempotency(queue: Queue, first: First) -> None:
    job = await queue.enqueue(idempotency_key="k")
    await queue.enqueue(idempotency_key="k")
    assert await first() is None
    thief = uuid4()
    await queue.connection.execute("update esteira.idempotency_key set job_id = $1", thief)
    moved = f'the idempotency key "k" had this job, and then job {thief}'
    assert await first() == ("Idempotency", job, moved)


async def test_a_key_that_leads_to_the_job_with_the_unique_key_is_in_order(queue: Queue, first: First) -> None:
    job = await queue.enqueue(unique_key="u")
    assert await queue.enqueue(unique_key="u", idempotency_key="k") == job
    assert await queue.enqueue(unique_key="u", idempotency_key="k") == job
    assert await first() is None


async def test_a_key_that_is_forgotten_breaks_idempotency(queue: Queue, first: First) -> None:
    job = await queue.enqueue(idempotency_key="k")
    await queue.connection.execute("delete from esteira.idempotency_key")
    assert await first() == ("Idempotency", job, 'its idempotency key "k" was removed after 0 s')


async def test_two_jobs_with_one_key_break_idempotency(queue: Queue, first: First, ledger: Ledger) -> None:
    jobs = []
    for _ in range(2):
        with ledger.request(key="k") as request:
            jobs.append(await enqueue(queue, request))
            request.acknowledged(jobs[-1])
    two = f'the idempotency key "k" has this job and {max(jobs)}'
    assert await first(ledger=ledger.path) == ("Idempotency", min(jobs), two)


async def test_a_repeated_request_that_made_two_jobs_breaks_idempotency(
    queue: Queue, first: First, ledger: Ledger
) -> None:
    with ledger.request(key="k") as request:
        lost = await enqueue(queue, request)
        request.again()
        told = await enqueue(queue, request)
        request.acknowledged(told)
    two = f'the idempotency key "k" has this job and {max(lost, told)}'
    assert await first(ledger=ledger.path) == ("Idempotency", min(lost, told), two)


async def test_a_repeated_request_that_was_answered_once_is_in_order(
    queue: Queue, first: First, ledger: Ledger
) -> None:
    with ledger.request(key="k", body={"a": 1}) as request:
        await enqueue(queue, request, idempotency_key="k")
        request.again()
        request.acknowledged(await enqueue(queue, request, idempotency_key="k"))
    assert await first(ledger=ledger.path) is None


async def test_another_request_that_is_answered_with_the_same_job_breaks_idempotency(
    queue: Queue, first: First, ledger: Ledger
) -> None:
    job = await queue.enqueue(idempotency_key="k")
    for body in (1, 2):
        with ledger.request(key="k", body=body) as request:
            request.acknowledged(job)
    told = 'two requests that ask for different things with the key "k" were answered with it'
    assert await first(ledger=ledger.path) == ("Idempotency", job, told)


async def test_without_a_ledger_phantoms_are_not_looked_for(report: Check) -> None:
    assert (await report()).not_checked["No phantom"].endswith("--ledger FILE")
