"""All checks in their order: what later ones need, earlier ones have seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.database.sqlstates import sqlstate_of
from esteira.doctor import queues, schema, server, vacuum, wakeups, workers
from esteira.doctor.finding import Finding
from esteira.doctor.site import Site
from esteira.errors import DatabaseUnavailable, EsteiraError, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from esteira.settings import Settings

    Check = Callable[[Site], Awaitable[list[Finding]]]

# Of the server, whatever is in the database.
FIRST: tuple[Check, ...] = (server.version, server.durability, server.clock, wakeups.pooler, wakeups.notifications)
# A problem here, and nothing of the rest can be asked.
GATES: tuple[Check, ...] = (schema.usage, schema.version)
# Of what Esteira keeps in it.
THEN: tuple[Check, ...] = (
    schema.rights,
    schema.days,
    schema.retention,
    schema.indexes,
    server.connections,
    vacuum.transactions,
    vacuum.slots,
    vacuum.autovacuum,
    workers.states,
    workers.versions,
    wakeups.listeners,
    queues.unserved,
    queues.unknown_tasks,
    queues.paused,
    queues.stuck,
    queues.late,
    queues.dead_letter,
)
_TOO_SLOW = "57014"


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Check everything, giving each finding as it is made.

    Without a database that answers, or without a schema of this version, the checks that need it are left out.
    Raises ConfigurationError where the settings name no database.
    """
    site = Site.of(settings)
    try:
        try:
            reached = await server.reach(site)
        except DatabaseUnavailable as error:
            action = "see that PostgreSQL runs and that ESTEIRA_DATABASE_URL names it, or begin with: esteira dev"
            yield Finding(check="database", level="problem", detail=f"it cannot be reached ({error})", action=action)
            return
        for finding in [*reached, *[found for check in FIRST for found in await carefully(check, site)]]:
            yield finding
        for check in GATES:
            found = await carefully(check, site)
            for finding in found:
                yield finding
            if any(finding.level == "problem" for finding in found):
                return
        for check in THEN:
            for finding in await carefully(check, site):
                yield finding
    finally:
        await site.close()


async def carefully(check: Check, site: Site) -> list[Finding]:
    """Make a check; one that cannot be made says so and is no problem."""
    try:
        return await check(site)
    except Exception as error:
        if not isinstance(error, EsteiraError) and sqlstate_of(error) != _TOO_SLOW:
            raise
        name = check.__name__.replace("_", " ")
        denied = isinstance(error, PermissionDenied)
        action = "run it as the role that owns the schema" if denied else None
        why = error.__cause__ if denied else error
        return [Finding(check=name, level="note", detail=f"could not be checked: {why}", action=action)]
