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
# An engine that has just started, or whose connection was lost, listens within about a second.
LATER = "jobs then begin with the poll, up to a second later"


async def pooler(site: Site) -> list[Finding]:
    """Whether a pooler stands in between, and LISTEN has a way past it."""
    behind, directly = await _is_pooled(site, direct=False), await _is_pooled(site, direct=True)
    if not behind:
        return [Finding(check="pooler", level="ok", detail="no pooler stands in between")]
    if not site.has_direct_url:
        detail = f"ESTEIRA_DATABASE_URL leads through a pooler and ESTEIRA_DIRECT_URL is not set: {LATER}"
        action = "export ESTEIRA_DIRECT_URL=postgresql://… with the server's own address, for the workers"
        return [Finding(check="pooler", level="warning", detail=detail, action=action)]
    if directly:
        detail = f"ESTEIRA_DIRECT_URL leads through a pooler too: {LATER}"
        action = "export ESTEIRA_DIRECT_URL=postgresql://… with the server's own address, for the workers"
        return [Finding(check="pooler", level="warning", detail=detail, action=action)]
    return [Finding(check="pooler", level="ok", detail="ESTEIRA_DIRECT_URL leads past the pooler")]


async def _is_pooled(site: Site, *, direct: bool) -> bool:
    """Tell whether the process that was named at the login is not the one that answers: a pooler invents the former."""
    connection = await (site.direct if direct else site.database).connect()
    try:
        with translated():
            answering = await connection.fetchval(queries.BACKEND)
        return bool(connection.get_server_pid() != answering)
    finally:
        connection.terminate()


async def notifications(site: Site) -> list[Finding]:
    """Whether a notification that is sent where jobs are enqueued arrives where workers listen."""
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
            "let ESTEIRA_DIRECT_URL name the same database, on the server itself"
            if site.has_direct_url
            else "export ESTEIRA_DIRECT_URL=postgresql://… with the server's own address, for the workers"
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
        action = "look for listener_disconnected in their logs, and at ESTEIRA_DIRECT_URL where they run"
        return [Finding(check="listeners", level="warning", detail=detail, action=action)]
    engines = sum(worker["engines"] for worker in workers)
    if not engines:
        return []
    return [Finding(check="listeners", level="ok", detail=f"{count(engines, 'engine')} listen")]
