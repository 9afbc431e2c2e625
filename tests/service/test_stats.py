from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

    from esteira_service.state import State
    from tests.postgres import Clock
    from tests.service.conftest import FakeWorker


async def test_stats_count_what_stands_and_what_ended_lately(
    http: httpx.AsyncClient, state: State, worker: FakeWorker, clock: Clock
) -> None:
    for _ in range(5):
        await state.client.enqueue("a.b")
    await worker.run()
    await worker.fail((await worker.claim())[0], retryable=False)
    await clock.advance(worker.connection, seconds=1800)
    for _ in range(2):
        await worker.run()
    # The service's sessions take over the database's time when they are made.
    await state.client.database.close()
    shown = (await http.get("/v1/stats")).json()
    assert (shown["ready"], shown["dead"]) == (1, 1)
    assert shown["last_five_minutes"] == {"completed": 2, "cancelled": 0, "dead": 0, "completed_per_second": 0.007}
    assert shown["last_hour"] == {"completed": 3, "cancelled": 0, "dead": 1, "completed_per_second": 0.001}
