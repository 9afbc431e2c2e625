"""What it takes to enqueue: round trips and commits, of the client and of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from esteira import Client, notifier
from esteira.new_job import NewJob
from esteira.settings import Settings
from esteira_service import catalogue, create_app
from tests.hot_path.meter import Counts, Meter, show

# One job looks at its task, at the name of one that nobody has declared, is inserted, and tells the workers as it
# commits. For many, the insert is a function's, and the notification follows in a transaction of its own.
ENQUEUED = {
    1: Counts(statements=1, inner_statements=5, commits=1),
    1_000: Counts(statements=1, inner_statements=4, commits=1),
}
ENQUEUED_AND_TOLD = {1: Counts(statements=1, commits=1), 1_000: Counts(statements=2, commits=2)}
# Before 18 each id is made by a statement of its own.
ENQUEUED_BEFORE_18 = Counts(statements=1, commits=1)
# Insert with notification, and the job as it is now, for the answer. What is declared is read once in these tests.
ROUNDS = 20
STATEMENTS_A_POST = 2
COMMITS_A_POST = 1
# Measured: 1 or 2 inserts, and a notification in 5 ms at most; 50 would be one of each for each.
POSTS = 50
COALESCED_COMMITS = 8
# Insert and notification: the jobs are not read back.
BATCH = 1_000
BATCH_STATEMENTS = 2
BATCH_COMMITS = 2
INSERT = "%esteira.enqueue_many(%"


@pytest_asyncio.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    """A client that is connected, and has told the workers what there is to tell."""
    async with Client(database_url) as client:
        await client.enqueue("t")
        await told(client)
        yield client


@pytest_asyncio.fixture
async def app(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The service. What it knows of declared tasks does not age: when it asks again is a matter of time."""
    monkeypatch.setattr(catalogue, "MAX_AGE_SECONDS", 3600)
    monkeypatch.setattr(catalogue, "MAX_AGE_OF_ABSENCE_SECONDS", 3600)
    app = create_app(Settings(database_url=database_url))
    async with app.router.lifespan_context(app):
        yield app


@pytest_asyncio.fixture
async def http(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who talks to a service that has its connections."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        await asyncio.gather(*(http.post("/v1/jobs", json={"task": "t"}) for _ in range(POSTS)))
        await told(app.state.esteira.client)
        yield http


async def told(client: Client) -> None:
    """Wait until the notifications are sent."""
    await client._notifier.close()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast this test enqueues, its jobs are few enough for each to tell the workers of itself."""
    monkeypatch.setattr(notifier, "QUIET_SECONDS", 0)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("count", ENQUEUED)
async def test_one_job_or_a_thousand_are_one_statement_and_one_commit(client: Client, meter: Meter, count: int) -> None:
    meter.reset()
    await client.enqueue_many([NewJob("t")] * count)
    spent = meter.read()
    await told(client)
    show(f"enqueue_many of {count}", spent)
    assert spent.excess(ENQUEUED[count] if meter.version >= 18 else ENQUEUED_BEFORE_18) == []
    assert meter.read().excess(ENQUEUED_AND_TOLD[count]) == []


@pytest.mark.usefixtures("few")
async def test_a_post_is_a_commit_that_tells_the_workers(app: Any, http: httpx.AsyncClient, meter: Meter) -> None:
    meter.reset()
    for _ in range(ROUNDS):
        assert (await http.post("/v1/jobs", json={"task": "t"})).status_code == 202
        await told(app.state.esteira.client)
    spent = meter.read()
    show(f"{ROUNDS} posts, one after the other", spent)
    assert (spent.statements or 0) <= STATEMENTS_A_POST * ROUNDS, meter.texts()
    assert (spent.commits or 0) <= COMMITS_A_POST * ROUNDS, meter.texts()


async def test_posts_at_once_share_their_commits(app: Any, http: httpx.AsyncClient, meter: Meter) -> None:
    meter.reset()
    answers = await asyncio.gather(*(http.post("/v1/jobs", json={"task": "t"}) for _ in range(POSTS)))
    assert {answer.status_code for answer in answers} == {202}
    await told(app.state.esteira.client)
    show(f"{POSTS} posts", meter.read())
    assert (meter.read().commits or 0) <= COALESCED_COMMITS, meter.texts()


async def test_a_batch_is_one_insert(app: Any, http: httpx.AsyncClient, meter: Meter) -> None:
    meter.reset()
    answer = await http.post("/v1/jobs/batch", json={"jobs": [{"task": "t"}] * BATCH})
    assert answer.json()["accepted"] == BATCH
    await told(app.state.esteira.client)
    spent = meter.read()
    show(f"a batch of {BATCH}", spent)
    assert meter.read(INSERT).statements == 1
    assert (spent.statements or 0) <= BATCH_STATEMENTS, meter.texts()
    assert (spent.commits or 0) <= BATCH_COMMITS, meter.texts()
