from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from esteira.database import Database, SyncDatabase
from esteira.notifier import PAUSE_SECONDS, QUIET_SECONDS, Notifier, SyncNotifier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg


class Watched(Database):
    """A database that tells which notifications were sent, and when."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sent: list[tuple[float, set[str]]] = []
        self.sending = asyncio.Event()

    async def fetch(self, query: Any, *args: Any, patience: float = 0) -> Any:
        self.sent.append((time.monotonic(), set(args[0])))
        self.sending.set()
        return await super().fetch(query, *args, patience=patience)


async def test_a_notification_goes_out_at_once_and_reaches_who_listens(
    database_url: str, connect: Callable[..., Awaitable[asyncpg.Connection[Any]]]
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await (await connect()).add_listener("esteira", lambda *hint: heard.put_nowait(hint[3]))
    database = Database(database_url)
    notifier = Notifier(database)
    notifier.notify(["mail"])
    assert await heard.get() == "mail"
    await notifier.close()
    await database.close()


async def test_a_burst_becomes_one_at_once_and_one_after_it(database_url: str) -> None:
    database = Watched(database_url)
    notifier = Notifier(database)
    notifier.notify(["a"])
    await database.sending.wait()
    for name in ("b", "c", "b") * 100:
        notifier.notify([name])
    await notifier.close()
    (first, queues), (second, trailing) = database.sent
    assert (queues, trailing) == ({"a"}, {"b", "c"})
    assert second - first >= PAUSE_SECONDS
    await database.close()


async def test_a_job_tells_with_its_commit_where_nothing_was_asked_or_told_for_a_while(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("esteira.notifier.time.monotonic", lambda: now)
    database, sync_database = Database(database_url), SyncDatabase(database_url)
    for notifier in (Notifier(database), SyncNotifier(sync_database)):
        assert notifier.with_commit()
        assert not notifier.with_commit()
        now += 2 * QUIET_SECONDS
        notifier.notify([], notified=True)
        assert not notifier.with_commit()
        now += 2 * QUIET_SECONDS
        assert notifier.with_commit()
    await database.close()
    sync_database.close()


def test_a_job_of_a_caller_that_blocks_tells_with_its_commit_if_the_last_one_was_quick(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("esteira.notifier.time.monotonic", lambda: now)
    notifier = SyncNotifier(SyncDatabase(database_url))
    for seconds, quick in ((0.9 * QUIET_SECONDS, True), (1.1 * QUIET_SECONDS, False), (0.9 * QUIET_SECONDS, True)):
        notifier.with_commit()
        now += seconds
        notifier.notify([], notified=True)
        assert notifier.with_commit() == quick


def test_a_caller_that_only_waited_for_its_notification_did_not_pause(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0

    class Slow(SyncDatabase):
        def fetch(self, query: Any, *args: Any, patience: float = 0) -> Any:
            nonlocal now
            now += 2 * QUIET_SECONDS
            return super().fetch(query, *args, patience=patience)

    monkeypatch.setattr("esteira.notifier.time.monotonic", lambda: now)
    database = Slow(database_url)
    notifier = SyncNotifier(database)
    notifier.notify(["a"])
    assert not notifier.with_commit()
    database.close()


async def test_what_the_workers_have_heard_of_is_not_sent(database_url: str) -> None:
    database = Watched(database_url)
    notifier = Notifier(database)
    notifier.notify(["a"], notified=True)
    notifier.notify(["b"])
    await notifier.close()
    assert [queues for _, queues in database.sent] == [{"b"}]
    await database.close()


async def test_closing_sends_what_was_noted(database_url: str) -> None:
    database = Watched(database_url)
    notifier = Notifier(database)
    notifier.notify(["a"])
    await notifier.close()
    assert [queues for _, queues in database.sent] == [{"a"}]
    await database.close()


async def test_nothing_is_sent_for_nothing(database_url: str) -> None:
    database = Watched(database_url)
    notifier = Notifier(database)
    notifier.notify([])
    await notifier.close()
    assert not database.sent


async def test_a_notification_that_cannot_be_sent_is_forgotten() -> None:
    database = Watched("postgresql://127.0.0.1:1/nobody")
    notifier = Notifier(database)
    notifier.notify(["a"])
    await notifier.close()
    assert len(database.sent) == 1


def test_a_notifier_goes_on_in_the_next_event_loop(database_url: str) -> None:
    database = Watched(database_url)
    notifier = Notifier(database)

    async def notify_and_leave() -> None:
        notifier.notify(["a"])

    async def notify_and_close() -> None:
        notifier.notify(["b"])
        await notifier.close()
        await database.close()

    asyncio.run(notify_and_leave())
    asyncio.run(notify_and_close())
    assert "b" in database.sent[-1][1]
