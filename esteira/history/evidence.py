"""What the checker looks at: the record, the queue's tables, a ledger and an effects table, all in one snapshot."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

import orjson

from esteira.database import Connection, Database, translated
from esteira.database.sqlstates import sqlstate_of
from esteira.errors import ConfigurationError, InvalidInput
from esteira.history.events import Effect, Life, Note, Row, Transition, folded
from esteira.history.ledger import Line, read

BATCH = 5000
_BAD_NAME = "42602"
IS_RECORDING = "select to_regclass('esteira_history.recording') is not null"
LEDGER = """
create temp table history_ledger (
    place integer, at timestamptz, kind text, job_id uuid, attempt integer, request text, key text, body text,
    names_job boolean, fields text
) on commit drop
"""
# A request is its job's: by what was acknowledged, else by what the job says in its metadata.
RESOLVE = """
with known as (
    select distinct on (request) request, job_id
    from (
        select request, job_id, 1 as place from history_ledger where kind = 'acknowledged'
        union all
        select request, job_id, 2 from esteira_history.transition where request is not null and operation = 'INSERT'
    ) as told
    where request is not null
    order by request, place, job_id
)
update history_ledger as line set job_id = known.job_id
from known
where line.request = known.request and line.job_id is null
"""
NO_EFFECTS = "create temp table history_effect (job_id uuid, attempt integer, step text) on commit drop"
EFFECT_COLUMNS = """
select attname from pg_attribute
where attrelid = to_regclass($1) and attname in ('job_id', 'attempt', 'step') and attnum > 0 and not attisdropped
"""
TRANSITIONS = f"select {', '.join(Transition._fields)} from esteira_history.transition order by job_id, number"  # noqa: S608
NOTES = f"select {', '.join(Note._fields)} from esteira_history.note order by job_id, number"  # noqa: S608
LINES = """
select place, at, kind, job_id, attempt, fields from history_ledger where job_id is not null order by job_id, place
"""
EFFECTS = "select job_id, attempt, step from history_effect order by job_id, attempt"
ROWS = """
select id, task, status, attempt, failures, crashes, generation, finished_at from esteira.job
where id in (
    select job_id from esteira_history.transition
    union select job_id from history_ledger
    union select job_id from history_effect)
order by id
"""
OF_JOB = "select * from ({}) as found where {} = $1"


@dataclass(frozen=True)
class Effects:
    """Name the table into which handlers write in `ctx.transaction()`, with columns job_id and attempt.

    A column step, where it has one, is null for those and the step's name for what `ctx.step_transaction` wrote.
    tasks: those whose every completed job must have written a row; none: rows are checked, and none is missed.
    """

    table: str
    tasks: frozenset[str] = frozenset()


class Evidence:
    """Read the record on one connection, in one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def rows(self, query: str, *args: object) -> list[Any]:
        """Return the rows of a query."""
        with translated():
            return await self.connection.fetch(query, *args)

    async def row(self, query: str, *args: object) -> Any:
        """Return the first row of a query, or None."""
        with translated():
            return await self.connection.fetchrow(query, *args)

    async def stream(self, query: str) -> AsyncIterator[list[Any]]:
        """Return the rows of a query, a batch at a time."""
        with translated():
            cursor = await self.connection.cursor(query)
            while batch := await cursor.fetch(BATCH):
                yield batch

    async def lives(self) -> AsyncIterator[Life]:
        """Return one job's whole life after the other, in the order of their ids."""
        streams = [_Groups(self.stream(query), read, key) for query, read, key in PARTS]
        for stream in streams:
            await stream.advance()
        while keys := [stream.key for stream in streams if stream.key is not None]:
            job_id = min(keys)
            yield _life(job_id, *[await stream.take(job_id) for stream in streams])

    async def life(self, job_id: UUID) -> Life:
        """Return one job's whole life."""
        parts = [await self.rows(OF_JOB.format(query, key), job_id) for query, _, key in PARTS]
        return _life(job_id, *[list(map(read, rows)) for rows, (_, read, _) in zip(parts, PARTS, strict=True)])


@asynccontextmanager
async def evidence(
    database: Database, ledger: str | os.PathLike[str] | None = None, effects: Effects | None = None
) -> AsyncIterator[Evidence]:
    """Open all that there is to look at, as it is at this moment.

    Raises ConfigurationError where nothing is recorded or a file or a table is not there, InvalidInput for a line that
    is none of a ledger's.
    """
    # The file first: whatever it says was acknowledged is in the snapshot.
    lines = [] if ledger is None else list(map(_columns, read(ledger)))
    async with database.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        found = Evidence(connection)
        if not (await found.row(IS_RECORDING))[0]:
            raise ConfigurationError("nothing is recorded here: `esteira history start` begins it")
        await _load(connection, iter(lines))
        await found.rows(await _effects(found, effects))
        yield found


async def _load(connection: Connection, lines: Iterator[tuple[Any, ...]]) -> None:
    with translated():
        await connection.execute(LEDGER)
        while part := list(islice(lines, BATCH)):
            await connection.copy_records_to_table("history_ledger", records=part)
        await connection.execute(RESOLVE)
        await connection.execute("analyze history_ledger")


async def _effects(found: Evidence, effects: Effects | None) -> str:
    if effects is None:
        return NO_EFFECTS
    try:
        columns = {row[0] for row in await found.rows(EFFECT_COLUMNS, effects.table)}
    except Exception as error:
        # Before PostgreSQL 17 a name that is none is an error, not an unknown one.
        if sqlstate_of(error) != _BAD_NAME:
            raise
        columns = set()
    if not {"job_id", "attempt"} <= columns:
        raise ConfigurationError(
            f"there is no table {effects.table} with the columns job_id and attempt: name it as schema.table"
        )
    table = (await found.row("select to_regclass($1)::text", effects.table))[0]
    step = "step" if "step" in columns else "null"
    # Named by the catalogue, which quotes what has to be quoted.
    return (
        f"create temp table history_effect on commit drop as"  # noqa: S608
        f" select job_id::uuid, attempt::integer, {step}::text as step from {table}"
    )


def _columns(line: Line) -> tuple[Any, ...]:
    fields = {name: line.fields.get(name) for name in ("request", "key", "body")}
    if not all(value is None or isinstance(value, str) for value in fields.values()):
        raise InvalidInput(f"line {line.place} of the ledger: request, key and body are strings")
    text = orjson.dumps(line.fields).decode().replace("\\u0000", "")
    return (line.place, line.at, line.kind, line.job_id, line.attempt, *fields.values(), line.job_id is not None, text)


def _line(row: Any) -> Line:
    place, at, kind, job_id, attempt, fields = row
    return Line(place, at, kind, job_id, attempt, orjson.loads(fields))


def _life(job_id: UUID, moves: Any, notes: Any, lines: Any, effects: Any, rows: Any) -> Life:
    return Life(job_id, folded(moves), notes, lines, effects, rows)


# What a life is put together of: where it stands, what is made of a row, and which column is the job's id.
PARTS: tuple[tuple[str, Callable[[Any], Any], str], ...] = (
    (TRANSITIONS, Transition._make, "job_id"),
    (NOTES, Note._make, "job_id"),
    (LINES, _line, "job_id"),
    (EFFECTS, Effect._make, "job_id"),
    (ROWS, Row._make, "id"),
)


class _Groups:
    """A stream of rows that come in the order of their jobs, taken a job at a time."""

    def __init__(self, batches: AsyncIterator[list[Any]], read: Callable[[Any], Any], key: str) -> None:
        self._batches = batches
        self._read = read
        self._name = key
        self._rows: list[Any] = []
        self._next = 0
        self.key: UUID | None = None

    async def advance(self) -> None:
        """Read the next batch where this one is used up, and tell whose row comes next."""
        if self._next == len(self._rows):
            self._rows, self._next = await anext(self._batches, []), 0
        self.key = self._rows[self._next][self._name] if self._rows else None

    async def take(self, job_id: UUID) -> list[Any]:
        """Return the rows of the job that comes next."""
        taken = []
        while self.key == job_id:
            taken.append(self._read(self._rows[self._next]))
            self._next += 1
            await self.advance()
        return taken
