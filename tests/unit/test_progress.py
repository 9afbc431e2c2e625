from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from esteira.database import Database, SyncDatabase
from esteira.progress import INTERVAL_SECONDS, Note, Progress, SyncProgress
from esteira.running import Claimed

if TYPE_CHECKING:
    from tests.unit.conftest import Belt


class Watched(Database):
    """A database that tells when progress was written."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.times: list[float] = []
        self.asked = asyncio.Event()
        self.wrote = asyncio.Event()

    async def fetchval(self, query: Any, *args: object, patience: float = 0) -> Any:
        self.times.append(time.monotonic())
        self.asked.set()
        try:
            return await super().fetchval(query, *args, patience=0)
        finally:
            self.wrote.set()


class SyncWatched(SyncDatabase):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.times: list[float] = []
        self.wrote = threading.Semaphore(0)

    def fetchval(self, query: str, *args: object, patience: float = 0) -> Any:
        self.times.append(time.monotonic())
        try:
            return super().fetchval(query, *args, patience=0)
        finally:
            self.wrote.release()


@pytest.fixture
def job(belt: Belt) -> Claimed:
    return belt.running()


def message(belt: Belt, job: Claimed) -> Any:
    return belt.job(job)["progress_message"]


def test_a_newer_note_has_the_last_word_and_an_older_one_the_rest() -> None:
    assert Note(share=0.0).over(Note(0.5, "half", "a")) == Note(0.0, "half", "a")
    assert Note(message="", step="b").over(Note(0.5, "half", "a")) == Note(0.5, "", "b")
    assert not Note()
    assert Note(share=0.0)


async def test_the_first_note_is_written_at_once_and_the_latest_without_being_asked_for(
    database_url: str, belt: Belt, job: Claimed
) -> None:
    database = Watched(database_url)
    progress = Progress(job, database)
    progress.note(Note(message="first"))
    await database.wrote.wait()
    assert message(belt, job) == "first"
    database.wrote.clear()
    for number in range(100):
        progress.note(Note(message=str(number)))
    await database.wrote.wait()
    assert message(belt, job) == "99"
    first, second = database.times
    assert second - first >= INTERVAL_SECONDS
    await progress.close()
    await database.close()


async def test_at_most_four_writes_a_second(database_url: str, job: Claimed) -> None:
    database = Watched(database_url)
    progress = Progress(job, database)
    end = time.monotonic() + 3.5 * INTERVAL_SECONDS
    while time.monotonic() < end:
        progress.note(Note(share=0.5))
        await asyncio.sleep(0.005)
    progress.discard()
    assert len(database.times) == 4
    await database.close()


async def test_a_flush_does_not_wait_for_its_turn(database_url: str, belt: Belt, job: Claimed) -> None:
    database = Watched(database_url)
    progress = Progress(job, database)
    for word in ("a", "b", "c"):
        progress.note(Note(message=word))
        await progress.flush()
        assert message(belt, job) == word
    assert database.times[-1] - database.times[0] < INTERVAL_SECONDS
    await progress.close()
    await database.close()


async def test_flushing_nothing_writes_nothing(database_url: str, job: Claimed) -> None:
    database = Watched(database_url)
    progress = Progress(job, database)
    await asyncio.gather(progress.flush(), progress.flush(), progress.close())
    assert not database.times


async def test_flushes_side_by_side_lose_nothing_and_end(database_url: str, belt: Belt, job: Claimed) -> None:
    database = Watched(database_url)
    progress = Progress(job, database)
    for number in range(20):
        progress.note(Note(message=str(number)))
        async with asyncio.timeout(5):
            await asyncio.gather(progress.flush(), progress.flush(), progress.flush())
    assert message(belt, job) == "19"
    await progress.close()
    await database.close()


async def test_what_a_cancelled_flush_did_not_write_is_written_later(
    database_url: str, belt: Belt, job: Claimed
) -> None:
    database = Watched(database_url)
    progress = Progress(job, database)
    belt.connection.execute("begin; lock table esteira.activity")
    progress.note(Note(message="kept"))
    flushing = asyncio.create_task(progress.flush())
    await database.asked.wait()
    flushing.cancel()
    await asyncio.wait([flushing])
    progress.discard()
    belt.connection.execute("commit")
    await progress.flush()
    assert message(belt, job) == "kept"
    await progress.close()
    await database.close()


async def test_a_database_that_is_away_costs_progress_not_the_job(belt: Belt, job: Claimed, database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    database = Watched(database_url.replace(name, "no_such_database"))
    progress = Progress(job, database)
    progress.note(Note(message="late"))
    assert not await progress.flush()
    assert not progress.lost
    database.url = database_url
    await database.close()
    assert await progress.flush()
    assert message(belt, job) == "late"
    await progress.close()
    await database.close()


async def test_a_lost_lease_is_noticed_and_ends_the_writing(database_url: str, belt: Belt, job: Claimed) -> None:
    database = Watched(database_url)
    progress = Progress(job, database)
    belt.again(job)
    progress.note(Note(share=0.5))
    await progress.flush()
    assert progress.lost
    progress.note(Note(share=0.6))
    await progress.close()
    assert len(database.times) == 1
    await database.close()


def test_in_a_thread_the_first_note_is_written_at_once_and_the_latest_by_a_timer(
    database_url: str, belt: Belt, job: Claimed
) -> None:
    database = SyncWatched(database_url)
    progress = SyncProgress(job, database)
    progress.note(Note(message="first"))
    assert message(belt, job) == "first"
    for number in range(100):
        progress.note(Note(message=str(number)))
    assert database.wrote.acquire()
    assert database.wrote.acquire(timeout=5)
    assert message(belt, job) == "99"
    assert len(database.times) == 2
    assert database.times[1] - database.times[0] >= INTERVAL_SECONDS
    database.close()


def test_in_a_thread_a_flush_does_not_wait_for_the_timer(database_url: str, belt: Belt, job: Claimed) -> None:
    database = SyncWatched(database_url)
    progress = SyncProgress(job, database)
    for word in ("a", "b", "c"):
        progress.note(Note(message=word))
        progress.flush()
        assert message(belt, job) == word
    assert len(database.times) == 3
    database.close()


def test_in_a_thread_what_is_discarded_is_not_written(database_url: str, belt: Belt, job: Claimed) -> None:
    database = SyncWatched(database_url)
    progress = SyncProgress(job, database)
    progress.note(Note(message="first"))
    progress.note(Note(message="second"))
    timer = progress._timer
    progress.discard()
    assert timer is not None
    timer.join()
    assert message(belt, job) == "first"
    database.close()


def test_in_a_thread_a_lost_lease_is_noticed(database_url: str, belt: Belt, job: Claimed) -> None:
    database = SyncWatched(database_url)
    progress = SyncProgress(job, database)
    belt.release(job)
    progress.note(Note(share=0.5))
    assert progress.lost
    progress.note(Note(share=0.6))
    progress.flush()
    assert len(database.times) == 1
    database.close()
