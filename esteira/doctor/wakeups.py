"""Checks of what wakes workers up: a pooler in between, LISTEN and NOTIFY, the sessions that listen."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from esteira.database import translated
from esteira.doctor import queries
from esteira.doctor.finding import Finding, count, named, psql

if TYPE_CHECKING:
    from esteira.doctor.site import Site

NOTIFY_SECONDS = 3.0
LATER = "jobs then begin with the poll, up to a second later"
_DIRECT = "export ESTEIRA_DIRECT_URL=postgresql://… with PostgreSQL's own address, for the workers"


async def pooler(site: Site) -> list[Finding]:
    """Whether a pooler stands in between, and LISTEN has a way past it."""
    await _connect(site)
    if not site.database.pooled:
        return [Finding(check="pooler", level="ok", detail="no pooler stands in between")]
    if not site.direct.pooled:
        return [Finding(check="pooler", level="ok", detail="ESTEIRA_DIRECT_URL leads past the pooler")]
    which = "ESTEIRA_DIRECT_URL leads through a pooler too" if site.has_direct_url else "ESTEIRA_DIRECT_URL is not set"
    detail = f"ESTEIRA_DATABASE_URL leads through a pooler, and {which}: {LATER}"
    return [Finding(check="pooler", level="warning", detail=detail, action=_DIRECT)]


async def _connect(site: Site) -> None:
    """Connect, after which it is known whether that was to a pooler."""
    for database in (site.database, site.direct):
        (await database.connect()).terminate()


async def notifications(site: Site) -> list[Finding]:
    """Whether a notification that is sent where jobs are enqueued arrives where workers listen."""
    if site.direct.pooled:
        # The pooler's finding says it; and a LISTEN would stay behind in a session that is somebody else's.
        return []
    channel = f"esteira_doctor_{secrets.token_hex(4)}"
    heard = asyncio.Event()
    connection = await site.direct.connect()
    try:
        with translated():
            await connection.add_listener(channel, lambda *_: heard.set())
        began = asyncio.get_running_loop().time()
        await site.row(queries.NOTIFY, channel, "hello")
        async with asyncio.timeout(NOTIFY_SECONDS):
            await heard.wait()
    except TimeoutError:
        detail = f"a notification did not arrive within {NOTIFY_SECONDS:.0f} s: {LATER}"
        action = (
            "let ESTEIRA_DIRECT_URL name the same database, on the server itself" if site.has_direct_url else _DIRECT
        )
        return [Finding(check="notifications", level="warning", detail=detail, action=action)]
    finally:
        connection.terminate()
    took = (asyncio.get_running_loop().time() - began) * 1000
    return [Finding(check="notifications", level="ok", detail=f"a notification arrived after {took:.0f} ms")]


async def listeners(site: Site) -> list[Finding]:
    """Whether each engine of each living worker has a session that listens."""
    workers = await site.rows(queries.LISTENERS)
    if any(worker["hidden"] for worker in workers):
        detail = "whether the workers listen cannot be seen: their sessions belong to another role"
        role = (await site.row(queries.SERVER))["role"]
        action = "as a superuser: " + psql(f"grant pg_read_all_stats to {role}")
        return [Finding(check="listeners", level="note", detail=detail, action=action)]
    deaf = [worker["id"] for worker in workers if worker["listening"] < worker["engines"]]
    if deaf:
        detail = f"{count(len(deaf), 'worker')} with an engine that does not listen ({named(deaf)}): {LATER}"
        action = "look for database_away or wakeups_off in their logs"
        return [Finding(check="listeners", level="warning", detail=detail, action=action)]
    engines = sum(worker["engines"] for worker in workers)
    if not engines:
        return []
    return [Finding(check="listeners", level="ok", detail=f"{count(engines, 'engine')} listening")]
