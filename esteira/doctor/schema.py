"""Checks of what Esteira keeps in the database: its schema, the rights on it, its partitions and indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira import queries as reads
from esteira.doctor import queries
from esteira.doctor.finding import Finding, count, named, psql
from esteira.errors import SchemaMismatch
from esteira.rights import GRANT, OPERATE, WORK, Rights
from esteira.schema import SCHEMA_VERSION, check_schema

if TYPE_CHECKING:
    from esteira.doctor.site import Site

# Days are made 14 ahead.
FEWEST_DAYS = 3
_MEANT = {(WORK,): "a service", (OPERATE,): "a worker"}


async def version(site: Site) -> list[Finding]:
    """Whether the schema is the one that this Esteira speaks."""
    found = await site.database.fetchval(reads.STAMP) if await site.database.fetchval(reads.IS_STAMPED) else None
    try:
        check_schema(found)
    except SchemaMismatch as error:
        newer = found is not None and found > SCHEMA_VERSION
        action = "pip install --upgrade esteira" if newer else "esteira migrate"
        return [Finding(check="schema", level="problem", detail=str(error).partition(";")[0], action=action)]
    return [Finding(check="schema", level="ok", detail=f"the schema is at version {found}")]


async def usage(site: Site) -> list[Finding]:
    """Say whether the role may look into the schema at all; nothing where there is none."""
    if all(row["granted"] for row in await site.rows(queries.USAGE)):
        return []
    role = (await site.row(queries.SERVER))["role"]
    action = "as its owner: " + psql(f"grant usage on schema esteira to {role}")
    detail = f"the role {role} may not use the schema esteira"
    return [Finding(check="rights", level="problem", detail=detail, action=action)]


async def rights(site: Site) -> list[Finding]:
    """Say what the account may not do, and whether that is as one of the roles has it."""
    row = await site.row(reads.RIGHTS)
    found = Rights(row["account"], tuple(row["missing"]))
    if not found.missing:
        return [Finding(check="rights", level="ok", detail=f"the database account {found.account} may do everything")]
    if found.missing in _MEANT:
        detail = f"{found}, as is meant for {_MEANT[found.missing]}"
        return [Finding(check="rights", level="ok", detail=detail)]
    return [Finding(check="rights", level="note", detail=str(found), action=f"if it is to: {GRANT}")]


async def days(site: Site) -> list[Finding]:
    """Whether finished jobs have partitions to go to for some days, and none catches them all."""
    ahead = (await site.row(queries.DAYS_AHEAD))["days"]
    found = [
        Finding(
            check="partitions",
            level="problem",
            detail=f"{row['name']} is a default partition of {row['parent']}: making a day locks every settle out",
            action=psql(f"alter table {row['parent']} detach partition {row['name']}"),
        )
        for row in await site.rows(queries.DEFAULT_PARTITIONS)
    ]
    if ahead < FEWEST_DAYS:
        detail = (
            "today has no partition for finished jobs"
            if ahead < 0
            else f"the partitions for finished jobs reach {count(ahead, 'day')} ahead"
        )
        detail += ": workers keep 14, and none has for long"
        action = psql("select esteira.maintain_partitions()")
        found.append(Finding(check="partitions", level="problem", detail=detail, action=action))
    return found or [Finding(check="partitions", level="ok", detail=f"partitions reach {count(ahead, 'day')} ahead")]


async def retention(site: Site) -> list[Finding]:
    """Whether days that are older than every rule are dropped."""
    row = await site.row(queries.OVERDUE_DAYS)
    if not row["days"]:
        return [Finding(check="retention", level="ok", detail="no day is kept for longer than the rules say")]
    detail = (
        f"{count(row['days'], 'day')} of finished jobs should be gone, the oldest is esteira.{row['oldest']}:"
        " no worker runs, a long reader is in the way, or something of yours depends on it"
    )
    return [Finding(check="retention", level="warning", detail=detail, action=psql("select esteira.retain()"))]


async def indexes(site: Site) -> list[Finding]:
    """Whether all indexes are valid: one whose making was interrupted costs and does not help."""
    broken = [row["name"] for row in await site.rows(queries.INVALID_INDEXES)]
    if not broken:
        return [Finding(check="indexes", level="ok", detail="all indexes are valid")]
    action = psql(*(f"reindex index concurrently {name}" for name in broken))
    return [Finding(check="indexes", level="problem", detail=f"not valid, of no use: {named(broken)}", action=action)]
