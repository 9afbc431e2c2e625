"""Begin and end recording: triggers on the queue's tables, and a schema of their own that they write to."""

from __future__ import annotations

from datetime import datetime
from importlib.resources import files
from typing import Any

from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random

from esteira.database import Database, translated
from esteira.database.sqlstates import is_transient
from esteira.errors import ConfigurationError, PermissionDenied

# Making a trigger waits for writers, and those that come wait for it: so it gives up before deadlocks are looked for.
LOCK_TIMEOUT = "set local lock_timeout = '500ms'"
_SECONDS = 30.0
ACT_AS_OWNER = """
select set_config('role', owner.rolname, true)
from pg_namespace join pg_roles as owner on owner.oid = nspowner
where nspname = 'esteira' and owner.rolname <> current_user and pg_has_role(owner.oid, 'member')
"""
BEGAN = "select began_at from esteira_history.recording"


async def recording_since(database: Database) -> datetime | None:
    """Return since when everything is recorded; None: nothing is."""
    if not await database.fetchval("select to_regclass('esteira_history.recording') is not null"):
        return None
    began: datetime | None = await database.fetchval(BEGAN)
    return began


async def start(database: Database) -> datetime:
    """Begin to record what happens to jobs, and return since when; all that commits from then on is in it.

    Takes a moment in which nothing is written: it waits for transactions that are under way, half a second at a time.
    Raises ConfigurationError where it is recorded already, or by an account that does not own the queue.
    """
    since = await recording_since(database)
    if since is not None:
        raise ConfigurationError(
            f"recording since {since:%Y-%m-%d %H:%M:%SZ} already: `esteira history check` checks it,"
            " `esteira history stop` ends it"
        )
    await _run(database, files(__package__).joinpath("recorder.sql").read_text(encoding="utf-8"))
    began = await recording_since(database)
    assert began is not None
    return began


async def stop(database: Database) -> None:
    """End recording and drop what was recorded. Raises ConfigurationError where nothing is."""
    if await recording_since(database) is None:
        raise ConfigurationError("nothing is recorded here: `esteira history start` begins it")
    await _run(database, "drop schema esteira_history cascade")


async def _run(database: Database, script: str) -> None:
    try:
        with translated():
            async for attempt in AsyncRetrying(**_patiently()):
                with attempt:
                    async with database.acquire() as connection, connection.transaction():
                        await connection.execute(LOCK_TIMEOUT)
                        await connection.fetch(ACT_AS_OWNER)
                        await connection.execute(script)
    except PermissionDenied as error:
        raise ConfigurationError(f"{error.__cause__}: record as the account that owns the schema esteira") from error


def _patiently() -> dict[str, Any]:
    return {
        "retry": retry_if_exception(is_transient),
        "wait": wait_random(0.05, 0.5),
        "stop": stop_after_delay(_SECONDS),
        "reraise": True,
    }
