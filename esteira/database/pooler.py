"""How a connection pooler in front of PostgreSQL (pgbouncer) is noticed.

In transaction mode each transaction of a connection may run in another session of PostgreSQL. Prepared statements,
settings of the session, LISTEN and the session's locks then belong to nobody, or worse, to somebody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esteira.database.sqlstates import sqlstate_of

if TYPE_CHECKING:
    import asyncpg
    import psycopg

# A simple query: one that was prepared could be executed in a session that does not know it.
_SAY_PID = """
do $$ begin
    perform set_config('client_min_messages', 'notice', true);
    raise notice '%', pg_backend_pid();
end $$
"""


def refuses_settings(error: BaseException) -> bool:
    """Tell whether a pooler refused the settings that a connection asked for at its start."""
    return sqlstate_of(error) == "08P01" and "unsupported startup parameter" in str(error)


async def is_pooled(connection: asyncpg.Connection[Any]) -> bool:
    """Tell whether statements run in another session than the one that answered at the start of the connection.

    A pooler that takes any setting shows itself by that: the process number that it gives is its own invention.
    """
    said: list[str] = []

    def hear(_connection: object, message: Any) -> None:
        said.append(message.message)

    connection.add_log_listener(hear)
    await connection.execute(_SAY_PID)
    connection.remove_log_listener(hear)
    return said != [str(connection.get_server_pid())]


def is_pooled_sync(connection: psycopg.Connection[Any]) -> bool:
    """Tell the same of a psycopg connection."""
    row = connection.execute("select pg_backend_pid()", prepare=False).fetchone()
    return row is None or row[0] != connection.info.backend_pid
