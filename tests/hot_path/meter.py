"""What something costs a database, in counts that are the same on every machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import Any

import psycopg

# A guard fails at this many times what was measured: no count that it knows varies by more.
ROOM = 1.15
# Without what asyncpg asks once a session, about types: that depends on how many sessions a pool has opened by then.
_STATEMENTS = """
select coalesce(sum(calls) filter (where toplevel), 0)::bigint,
       coalesce(sum(calls) filter (where not toplevel), 0)::bigint,
       coalesce(sum(shared_blks_hit + shared_blks_read) filter (where toplevel), 0)::bigint,
       coalesce(sum(wal_bytes) filter (where toplevel), 0)::bigint
from pg_stat_statements
where query like %s and query not like all (array['%%typeinfo_tree%%', '%%current_setting(%%'])"""
_TEXTS = "select calls, query from pg_stat_statements where toplevel order by calls desc"
# Every writing transaction, and no other, takes a number.
_NUMBER = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_VISITED = """
select (select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables where schemaname = 'esteira')
       + (select sum(idx_tup_read) from pg_stat_user_indexes where schemaname = 'esteira')"""


@dataclass(frozen=True)
class Counts:
    """What was spent, or may be; None is not counted.

    statements: round trips. inner_statements: what functions ran inside of them. commits: of transactions that wrote.
    buffers: pages found in memory or read. visited: rows and index entries.
    """

    statements: float | None = None
    inner_statements: float | None = None
    commits: float | None = None
    buffers: float | None = None
    wal_bytes: float | None = None
    visited: float | None = None

    def excess(self, measured: Counts) -> list[str]:
        """Say what is more than was measured, and some."""
        found = []
        for name in (field.name for field in fields(self)):
            spent, known = getattr(self, name), getattr(measured, name)
            if known is not None and spent > ROOM * known:
                found.append(f"{name}: {spent:.6g}, where {known:.6g} was measured")
        return found


class Meter:
    """Count what is done in the test's database; whatever is done through the meter itself is not seen."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True, options="-c pg_stat_statements.track=none")
        self._number = self._visited = 0

    @property
    def version(self) -> int:
        """The server's major version."""
        return self.connection.info.server_version // 10_000

    def close(self) -> None:
        self.connection.close()

    def reset(self) -> None:
        """Begin to count."""
        self._visited = self._value(_VISITED)
        self.connection.execute("select pg_stat_statements_reset()")
        self._number = self._value(_NUMBER)

    def read(self, like: str = "%") -> Counts:
        """Return what was spent since, as far as it is known at once: `visited` is told by `read_visited`.

        like: look only at statements of this text, all commits being counted nevertheless.
        """
        commits = self._value(_NUMBER) - self._number
        row = self.connection.execute(_STATEMENTS, (like,)).fetchone()
        assert row is not None
        statements, inner, buffers, wal_bytes = map(int, row)
        return Counts(statements, inner, commits, buffers, wal_bytes)

    def read_visited(self) -> int:
        """Return what was visited since by sessions that have flushed their statistics or ended."""
        return self._value(_VISITED) - self._visited

    def texts(self) -> str:
        """Return how often each statement was sent, for the message of a guard that fails."""
        return "\n".join(
            f"{calls} of {' '.join(text.split())[:100]}" for calls, text in self.connection.execute(_TEXTS)
        )

    def _value(self, query: Any) -> int:
        row = self.connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def show(what: str, counted: object) -> None:
    """Print for whoever runs the guards with -rP, to note new figures."""
    sys.stdout.write(f"{what}: {counted}\n")
