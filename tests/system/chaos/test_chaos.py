"""Everything breaks, again and again, while clients of all kinds ask for everything: what is promised holds.

`make chaos SECONDS=600 SEED=7` is the long form: docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from esteira import Client
from esteira.database import Database
from esteira.embedded import EmbeddedPostgres
from esteira.history import Effects, check
from esteira.job_filter import JobFilter
from tests.pgbouncer import running_pgbouncer
from tests.system.chaos.chaos import EVERYTHING, Chaos
from tests.system.chaos.conftest import LEASE, SECONDS, SEED, OpenChaos
from tests.system.chaos.totals import Totals, percentile, promised
from tests.system.history import history_tasks as tasks
from tests.system.history.clients import ANY_ACTION, CANCEL_LATER, EFFECT_ACTIONS, Person, ask_for
from tests.worker.conftest import until

pytestmark = pytest.mark.timeout(400 + 3 * SECONDS)
KEPT = Path(__file__).parents[3] / ".cache" / "chaos"
EFFECTS = Effects("public.effect", tasks.WITH_EFFECT)
# A machine that has much else to do starts an engine when it can; the table says what it really took.
SLACK_SECONDS = 15.0
PATIENCE = 60.0
DOUBLED = """
select coalesce(sum(times - 1), 0)::integer from (
    select count(*) as times from public.effect group by job_id, step
) as effect
"""
MISSING = """
select count(*) from unnest($1::uuid[]) as acknowledged (id)
where not exists (select from esteira.job where job.id = acknowledged.id)
"""
LEFT = """
select job.task, why.code, why.detail, count(*)
from esteira.job_live as job cross join lateral esteira.explain(job.id) as why group by 1, 2, 3
"""
ACTIONS = (*ANY_ACTION, *EFFECT_ACTIONS, partial(Person.many_jobs, number=100))


async def drain(database: Database, within: float = 90) -> None:
    """Wait until all has ended, give the dead one more life, and wait again."""
    await database.fetch(CANCEL_LATER, patience=PATIENCE)
    await ended(database, within)
    await Client(database=database).retry_many(JobFilter(status=["dead"]))
    await ended(database, 90)


async def ended(database: Database, within: float) -> None:
    async def none_lives() -> bool:
        return not await database.fetchval("select exists (select from esteira.job_live)", patience=PATIENCE)

    try:
        await until(none_lives, within=within)
    except TimeoutError:
        left = [dict(row) for row in await database.fetch(LEFT, patience=PATIENCE)]
        pytest.fail(f"seed {SEED}: after {within} s there still are {left}")


async def totals(chaos: Chaos, name: str) -> Totals:
    """Count what was seen, apart from the checker."""
    database = chaos.database
    seen = map(json.loads, chaos.clients.ledger.path.read_text().splitlines())
    acknowledged = {line["job_id"] for line in seen if line["kind"] == "acknowledged"}
    return Totals(
        lease=LEASE,
        runs=[name],
        acknowledged=len(acknowledged),
        lost=await database.fetchval(MISSING, list(acknowledged)),
        effects=await database.fetchval("select count(*) from public.effect"),
        duplicated=await database.fetchval(DOUBLED),
        given_up=len(await chaos.given_up()),
        faults=chaos.faults,
        recovery=dict(chaos.recovery.seconds),
    )


async def judged(chaos: Chaos, name: str) -> Totals:
    """Hold the history against every promise, and count."""
    report = await check(
        chaos.database,
        ledger=chaos.clients.ledger.path,
        effects=EFFECTS,
        drained=True,
        lease=LEASE,
        slack=timedelta(seconds=SLACK_SECONDS),
    )
    total = await totals(chaos, name)
    print(f"\n{report.counted()}\n{total.table()}")  # noqa: T201
    assert report.violation is None, f"seed {SEED}, {report}"
    assert report.not_checked == {}
    assert (total.lost, total.duplicated, total.given_up) == (0, 0, 0)
    for what, times in total.recovery.items():
        assert percentile(times, 99) <= promised(what, LEASE) + SLACK_SECONDS, (what, times)
    return total


async def broken(chaos: Chaos, name: str, seconds: float) -> None:
    """Let everybody ask and everything break for so long, and see what came of it."""
    await chaos.start(processes=2)
    asking = ask_for(chaos.clients, ACTIONS, seed=SEED, seconds=seconds)
    async with chaos.managed():
        await asyncio.gather(asking, chaos.run(EVERYTHING, seconds - 2))
        await drain(chaos.database, 90 + SECONDS)
    total = await judged(chaos, f"seed {SEED}, {name}, {seconds:g} s")
    if SECONDS:
        total.write(KEPT)


async def test_nothing_is_lost_or_doubled_whatever_breaks(server: EmbeddedPostgres, open_chaos: OpenChaos) -> None:
    async with open_chaos(server.url()) as chaos:
        await broken(chaos, "direct", SECONDS or 20)


async def test_nothing_is_lost_or_doubled_behind_a_pooler(server: EmbeddedPostgres, open_chaos: OpenChaos) -> None:
    with running_pgbouncer(server.url(), default_pool_size="40") as pgbouncer:
        async with open_chaos(pgbouncer.url("postgres")) as chaos:
            await broken(chaos, "pgbouncer", SECONDS or 10)
