"""Checks of what keeps the tables small: vacuum, and what holds it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esteira.doctor import queries
from esteira.doctor.finding import Finding, count, duration, psql

if TYPE_CHECKING:
    from esteira.doctor.site import Site

LONG_SECONDS = 300.0
TOO_LONG_SECONDS = 3600.0
# So many transactions behind, a slot is not merely in use.
OLD_SLOT = 100_000
# Autovacuum is behind at so many times what it waits for.
BEHIND = 4


async def transactions(site: Site) -> list[Finding]:
    """Whether a transaction has been open for long, and what it holds back."""
    health = await site.row(queries.HEALTH)
    found = [_prepared(row) for row in await site.rows(queries.PREPARED) if row["seconds"] >= LONG_SECONDS]
    seconds = health["oldest_transaction_seconds"]
    if seconds is not None and seconds >= LONG_SECONDS:
        found.append(_long(health, seconds))
    if not health["sees_all"]:
        detail = "how long other roles' transactions have been open cannot be seen"
        action = "as a superuser: " + psql(f"grant pg_read_all_stats to {(await site.row(queries.SERVER))['role']}")
        found.append(Finding(check="transactions", level="note", detail=detail, action=action))
    return found or [Finding(check="transactions", level="ok", detail="no transaction has been open for long")]


def _long(health: Any, seconds: float) -> Finding:
    who = health["oldest_transaction_name"] or health["oldest_transaction_user"]
    detail = (
        f"the transaction of {who} (pid {health['oldest_transaction_pid']}, {health['oldest_transaction_state']})"
        f" has been open for {duration(seconds)}"
    )
    if health["xmin_holder"] == "session" and health["xmin_holder_pid"] == health["oldest_transaction_pid"]:
        dead = count(health["job_live_dead_rows"] or 0, "dead row")
        detail += f": vacuum cannot remove what was deleted since ({dead} in job_live)"
    return Finding(
        check="transactions",
        level="problem" if seconds >= TOO_LONG_SECONDS else "warning",
        detail=detail,
        action=psql(f"select pg_terminate_backend({health['oldest_transaction_pid']})"),
    )


def _prepared(row: Any) -> Finding:
    return Finding(
        check="transactions",
        level="problem" if row["seconds"] >= TOO_LONG_SECONDS else "warning",
        detail=f"the prepared transaction {row['name']} holds vacuum back for {duration(row['seconds'])}",
        action=psql(f"rollback prepared '{row['name']}'"),
    )


async def slots(site: Site) -> list[Finding]:
    """Whether a replication slot holds an old snapshot."""
    old = [slot for slot in await site.rows(queries.SLOTS) if slot["age"] >= OLD_SLOT or not slot["active"]]
    return [_slot(slot) for slot in old] or [
        Finding(check="slots", level="ok", detail="no replication slot holds vacuum back")
    ]


def _slot(slot: Any) -> Finding:
    drop = psql(f"select pg_drop_replication_slot('{slot['name']}')")
    return Finding(
        check="slots",
        level="warning",
        detail=f"the replication slot {slot['name']} {'is' if slot['active'] else 'is not used, and is'}"
        f" {slot['age']:,} transactions behind: vacuum waits for it",
        action=f"if its standby is gone: {drop}",
    )


async def autovacuum(site: Site) -> list[Finding]:
    """Whether autovacuum works on the live jobs, and keeps up."""
    server, table = await site.row(queries.SERVER), await site.row(queries.VACUUM_THRESHOLD)
    found = [
        Finding(
            check="autovacuum",
            level="problem",
            detail=f"{name} is off: the tables grow without end, and claims become slower",
            action=psql(f"alter system set {name} = on", "select pg_reload_conf()"),
        )
        for name in ("autovacuum", "track_counts")
        if server[name] == "off"
    ]
    if not table["enabled"]:
        detail = "autovacuum is off for esteira.job_live: it grows without end, and claims become slower"
        action = psql("alter table esteira.job_live reset (autovacuum_enabled)")
        found.append(Finding(check="autovacuum", level="problem", detail=detail, action=action))
    return found or await _backlog(site, table["threshold"])


async def _backlog(site: Site, threshold: float) -> list[Finding]:
    health = await site.row(queries.HEALTH)
    dead = health["job_live_dead_rows"] or 0
    if dead <= BEHIND * threshold:
        return [Finding(check="autovacuum", level="ok", detail=f"job_live has {count(dead, 'dead row')}")]
    detail = f"job_live has {count(dead, 'dead row')}, where autovacuum is to begin at {threshold:,.0f}"
    action = psql("vacuum (verbose) esteira.job_live")
    return [Finding(check="autovacuum", level="warning", detail=detail, action=action)]
