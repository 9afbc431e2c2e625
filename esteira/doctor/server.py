"""Checks of the server: which it is, what it promises, its clock, its connections."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from esteira.doctor import queries
from esteira.doctor.finding import Finding, Level, count, psql

if TYPE_CHECKING:
    from esteira.doctor.site import Site

OLDEST, NEWEST = 15, 18
# A round trip is paid by every claim and settle.
SLOW_MS = 50.0
CLOCK_SECONDS = 2.0
# What the pools of a worker may open at most, beside a connection for each slot of the async and the thread executor:
# an engine claims and settles on up to 10 and listens on one, the supervisor has 3.
ENGINE_CONNECTIONS = 11
SUPERVISOR_CONNECTIONS = 3
_OFF = {
    "fsync": "a crash of the machine may ruin the database",
    "full_page_writes": "a crash of the machine may ruin pages of the database",
    "synchronous_commit": "a crash of the server loses the last jobs that were acknowledged",
}


async def reach(site: Site) -> list[Finding]:
    """How long a round trip takes."""
    await site.row("select 1")
    times = []
    for _ in range(5):
        began = time.perf_counter()
        await site.row("select 1")
        times.append((time.perf_counter() - began) * 1000)
    best = min(times)
    if best > SLOW_MS:
        detail = f"a round trip to the database takes {best:.0f} ms: every claim and settle waits for it"
        return [Finding(check="database", level="warning", detail=detail, action="run services and workers near it")]
    return [Finding(check="database", level="ok", detail=f"the database answers in {best:.1f} ms")]


async def version(site: Site) -> list[Finding]:
    """Whether this PostgreSQL is one that Esteira runs on."""
    server = await site.row(queries.SERVER)
    major = server["number"] // 10_000
    if major < OLDEST:
        detail = f"PostgreSQL {server['version']} is too old: Esteira needs {OLDEST} or newer"
        return [Finding(check="version", level="problem", detail=detail, action="upgrade PostgreSQL (pg_upgrade)")]
    if major > NEWEST:
        detail = f"PostgreSQL {server['version']} is newer than {NEWEST}, the newest that this Esteira was tested on"
        return [Finding(check="version", level="note", detail=detail)]
    return [Finding(check="version", level="ok", detail=f"PostgreSQL {server['version']}")]


async def durability(site: Site) -> list[Finding]:
    """Whether what was committed survives a crash, and whether this is the server that takes writes."""
    server = await site.row(queries.SERVER)
    found = [
        Finding(
            check="durability",
            level="problem",
            detail=f"{name} is off: {harm}",
            action=psql(f"alter system set {name} = on", "select pg_reload_conf()"),
        )
        for name, harm in _OFF.items()
        if server[name] == "off"
    ]
    if server["is_standby"]:
        detail = "this server is a standby and takes no writes"
        action = "name the primary, or add target_session_attrs=read-write to ESTEIRA_DATABASE_URL"
        found.append(Finding(check="durability", level="problem", detail=detail, action=action))
    return found or [Finding(check="durability", level="ok", detail="what is committed survives a crash of the server")]


async def clock(site: Site) -> list[Finding]:
    """How far this machine's clock is from the database's, which is the one that counts."""
    before = time.time()
    row = await site.row(queries.CLOCK)
    after = time.time()
    if row["fake"]:
        database = (await site.row(queries.SERVER))["database"]
        detail = f"the queue's clock stands at {row['fake']}: esteira.fake_now is set, which is for tests"
        action = psql(f'alter database "{database}" reset esteira.fake_now')
        return [Finding(check="clock", level="problem", detail=detail, action=action)]
    # Within half a round trip.
    apart = row["at"] - (before + after) / 2
    if abs(apart) - (after - before) / 2 > CLOCK_SECONDS:
        way = "behind" if apart > 0 else "ahead of"
        detail = f"this machine's clock is {abs(apart):.1f} s {way} the database's: times reckoned here are off"
        return [Finding(check="clock", level="warning", detail=detail, action="timedatectl set-ntp true, on both")]
    return [Finding(check="clock", level="ok", detail=f"this machine and the database agree within {abs(apart):.2f} s")]


async def connections(site: Site) -> list[Finding]:
    """How many connections there are, and how many the workers may want at most."""
    health = await site.row(queries.HEALTH)
    workers = [worker for worker in await site.rows(queries.WORKERS) if worker["state"] in ("alive", "draining")]
    wanted = sum(
        SUPERVISOR_CONNECTIONS + ENGINE_CONNECTIONS * worker["engines"] + 2 * worker["slots"] for worker in workers
    )
    used, most = health["connections"], health["max_connections"] - health["reserved"]
    detail = f"{used} of {most} connections are used"
    level: Level = "ok"
    if used >= 0.95 * most:
        level = "problem"
    elif used >= 0.8 * most:
        level = "warning"
    elif wanted > most:
        level, detail = "note", f"{detail}; {count(len(workers), 'worker')} may want {wanted} at most"
    action = "raise max_connections, or put a pooler in between (ESTEIRA_DIRECT_URL then goes past it)"
    return [Finding(check="connections", level=level, detail=detail, action=None if level == "ok" else action)]
