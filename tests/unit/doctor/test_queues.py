from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esteira.doctor import queues

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.doctor.site import Site

    Sql = Callable[..., Any]


@pytest.mark.parametrize(
    "check", [queues.unserved, queues.unknown_tasks, queues.paused, queues.stuck, queues.late, queues.dead_letter]
)
async def test_an_empty_queue_is_in_order(site: Site, check: Any) -> None:
    [found] = await check(site)
    assert found.level == "ok"


async def test_a_queue_with_jobs_and_without_workers_is_told(
    site: Site, sql: Sql, register: Callable[..., Any]
) -> None:
    register("t", queues=["default"])
    sql("select esteira.enqueue('t'), esteira.enqueue('t', queue => 'lonely')")
    [found] = await queues.unserved(site)
    assert (found.level, found.detail) == ("warning", "no living worker serves 1 queue with jobs: lonely")
    assert found.action == "esteira worker --tasks MODULE --queues lonely"


async def test_a_task_that_no_worker_knows_is_told(site: Site, sql: Sql, register: Callable[..., Any]) -> None:
    gone = register("old")
    register("t")
    sql("update esteira.worker set stopped_at = esteira.now() where id = %s", gone)
    sql("select esteira.enqueue('t'), esteira.enqueue('old'), esteira.enqueue('typo'), esteira.enqueue('typo')")
    found = await queues.unknown_tasks(site)
    assert [one.detail for one in found] == [
        "the task typo has 2 ready jobs, and no worker has ever declared it",
        "the task old has 1 ready job, and no living worker knows it",
    ]
    assert "esteira cancel --task typo" in str(found[0].action)


async def test_paused_queues_and_tasks_are_told(site: Site, sql: Sql, register: Callable[..., Any]) -> None:
    register("t")
    sql("select esteira.enqueue('t'), esteira.pause('empty'), esteira.pause_task('t')")
    found = {one.action: one.level for one in await queues.paused(site)}
    assert found == {"esteira resume --task t": "warning", "esteira resume empty": "note"}


async def test_stuck_jobs_are_told_by_their_reason(site: Site, sql: Sql) -> None:
    sql("select esteira.enqueue('t') from generate_series(1, 3)")
    sql("update esteira.job_live set ready_at = ready_at - interval '1 h'")
    [found] = await queues.stuck(site)
    assert found.level == "warning"
    assert found.detail.startswith("3 jobs stuck (no_worker), one of them: No worker serves the queue")


async def test_jobs_that_wait_past_their_expiry_are_told(site: Site, sql: Sql) -> None:
    sql("select esteira.enqueue('t', expires_at => now() + interval '1 h')")
    sql("update esteira.job_live set expires_at = now() - interval '10 min'")
    [found] = await queues.late(site)
    assert (found.level, found.detail) == ("warning", "1 job past their expiry, by 10 min: no worker cancels them")


async def test_dead_jobs_are_counted(site: Site, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    sql("select esteira.enqueue('shop.bill') from generate_series(1, 2)")
    sql(
        """with gone as (delete from esteira.job_live returning *)
        insert into esteira.job_dead (id, queue, task, status, reason, error, finished_at)
        select id, queue, task, 'dead', 'not_retryable', '{"type": "E", "message": "no"}', now() from gone"""
    )
    [found] = await queues.dead_letter(site)
    assert (found.level, found.detail) == ("note", "2 jobs dead, 2 within the hour; most of shop.bill")
    assert str(found.action).endswith("--status dead --task shop.bill")
    monkeypatch.setattr(queues, "MANY_DEAD", 2)
    [found] = await queues.dead_letter(site)
    assert found.level == "warning"
