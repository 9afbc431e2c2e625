"""Plain tests of plain and asynchronous tasks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from esteira import App, ConfigurationError, Context, Retry, SyncContext, testing

if TYPE_CHECKING:
    from collections.abc import Iterator

app = App("shop")


@app.task(retry=Retry(first="1h", max="1h"))
def measure(path: str, ctx: SyncContext) -> int:
    return ctx.step("open", lambda: len(path))


@app.task()
async def double(number: int, ctx: Context) -> int:
    measure.enqueue_sync({"path": "ab"})
    return 2 * number


@pytest.fixture
def worker(database_url: str) -> Iterator[testing.SyncWorker]:
    with testing.SyncWorker(app, database_url) as running:
        yield running


def test_plain_tests_do_the_same_without_await(worker: testing.SyncWorker) -> None:
    assert worker.run(double, {"number": 4}).result == 8
    worker.fail_step("open", OSError("no such file"))
    handle = measure.enqueue_sync({"path": "abc"})
    (job,) = worker.drain()
    assert (job.id, job.status, job.failures) == (handle.id, "queued", 1)
    before = worker.now()
    assert worker.advance("1h") > before
    (job,) = worker.drain()
    assert handle.result() == 3


def test_nothing_is_left_running(database_url: str) -> None:
    with testing.SyncWorker(app, database_url):
        pass
    with pytest.raises(ConfigurationError), testing.SyncWorker(App("b", database_url="x"), "nonsense://"):
        pytest.fail("it must not get here")
    assert [thread.name for thread in threading.enumerate() if thread.name == "esteira-testing"] == []
