"""Lists of jobs: which, in which order, composed with SQLAlchemy Core.

Ids sort by time of creation, so every list is in the order of an index. A filter that finds much in that order stops
after a few rows of it; one that finds little, or only far away, would walk over all that others have left. The planner
cannot tell the two apart: it takes what a filter finds to lie evenly (jobs of a worker of three days ago, of 5,000,000:
25 s). So a filtered list looks through the nearest jobs first, and only if they do not fill the page asks other indexes
for all that there are: rare among the nearest, they are not many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    any_,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    table,
    tuple_,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import Text

from esteira.encoding import encode
from esteira.job import FINAL
from esteira.job_filter import JobFilter, Page
from esteira.queries import BODIES, JOB_COLUMNS

NEAREST = 10_000

_view = table("jobs", *map(column, (*JOB_COLUMNS, *BODIES)), schema="esteira")
# Where nothing is shown but ids or a number, the joins of the view are not needed.
_table = table("job", *map(column, JOB_COLUMNS), schema="esteira")
_stuck = table("stuck", column("id"), schema="esteira")


def jobs(wanted: JobFilter, page: Page) -> Select[tuple[Any, ...]]:
    """Select a page of jobs."""
    by_end = page.sort.endswith("finished_at")
    if by_end:
        wanted = wanted.within(tuple(sorted(FINAL)))
    order = _Order(("finished_at", "id") if by_end else ("id",), latest_first=page.sort.startswith("-"))
    within = [*_ranges(wanted), *(order.behind(page.after) if page.after is not None else ())]
    rare = [*_rare(wanted, _table)]
    query = _filtered(wanted, order, within, page) if rare else select(_table.c.id).where(*within)
    if not rare:
        query = query.order_by(*order.of(_table))
    ids = query.limit(page.limit).offset(page.offset)
    # The view looks at the clock, so no order and no limit reaches the tables through it: first the page's ids.
    columns = [_view.c[name] for name in (*JOB_COLUMNS, *page.bodies)]
    return select(*columns).where(_view.c.id == any_(func.array(ids.scalar_subquery()))).order_by(*order.of(_view))


def job_ids(wanted: JobFilter) -> Select[tuple[UUID]]:
    """Select the ids of jobs, in no order."""
    return select(_table.c.id).where(*_ranges(wanted), *_rare(wanted, _table))


def oldest_ids(wanted: JobFilter, limit: int) -> Select[tuple[UUID]]:
    """Select the ids of at most so many jobs, the oldest first."""
    return job_ids(wanted).order_by(_table.c.id).limit(limit)


def count(wanted: JobFilter) -> Select[Any]:
    """Count jobs: all that the filter finds are read."""
    return select(func.count()).select_from(job_ids(wanted).subquery())


@dataclass(frozen=True)
class _Order:
    names: tuple[str, ...]
    latest_first: bool

    def of(self, jobs: FromClause) -> list[ColumnElement[Any]]:
        return [jobs.c[name].desc() if self.latest_first else jobs.c[name].asc() for name in self.names]

    def behind(self, after: tuple[datetime | None, UUID]) -> Iterator[ColumnElement[bool]]:
        place = tuple_(*(_table.c[name] for name in self.names))
        given = tuple_(*after[-len(self.names) :])
        yield place < given if self.latest_first else place > given
        if len(self.names) > 1:
            # Said again so that the days on the other side stay unread.
            end = _table.c.finished_at
            yield end <= after[0] if self.latest_first else end >= after[0]


def _filtered(
    wanted: JobFilter, order: _Order, within: Sequence[ColumnElement[bool]], page: Page
) -> Select[tuple[UUID]]:
    keys = [_table.c.finished_at, _table.c.id]
    columns = [_table.c[name] for name in ("queue", "task", "worker_id", "tags", "metadata")]
    nearest = select(*keys, *columns).where(*within).order_by(*order.of(_table)).limit(NEAREST).subquery()
    few = page.limit + page.offset
    near = (
        select(nearest.c.finished_at, nearest.c.id)
        .where(*_rare(wanted, nearest))
        .order_by(*order.of(nearest))
        .limit(few)
        .cte("near", nesting=True)
        .prefix_with("materialized", dialect="postgresql")
    )
    enough = select(func.count()).select_from(near).scalar_subquery() >= literal(few)
    # The offset keeps the order, and the plan that follows it, out of this half.
    all_of_them = select(*keys).where(*within, *_rare(wanted, _table), ~enough).offset(0).subquery()
    both = union(select(near.c.finished_at, near.c.id), select(all_of_them.c.finished_at, all_of_them.c.id)).subquery()
    return select(both.c.id).order_by(*order.of(both))


def _ranges(wanted: JobFilter) -> Iterator[ColumnElement[bool]]:
    """Say what the indexes that lists are ordered by can tell."""
    statuses = wanted.within(("queued", "running")).status if wanted.stuck else wanted.status
    if statuses is not None:
        yield _table.c.status.in_(sorted(set(statuses)))
    for name in ("created", "finished"):
        after, before = getattr(wanted, f"{name}_after"), getattr(wanted, f"{name}_before")
        if after is not None:
            yield _table.c[f"{name}_at"] >= after
        if before is not None:
            # A job was created before it ended.
            yield _table.c[f"{name}_at"] < before
            yield _table.c.id < func.esteira.id_until(before)
    if wanted.created_after is not None:
        yield _table.c.id >= func.esteira.id_from(wanted.created_after)
    if wanted.stuck:
        yield _table.c.id.in_(select(_stuck.c.id))


def _rare(wanted: JobFilter, jobs: FromClause) -> Iterator[ColumnElement[bool]]:
    """Say what may be true of few jobs, wherever they stand."""
    for name, value in (("queue", wanted.queue), ("task", wanted.task), ("worker_id", wanted.worker)):
        if value is not None:
            yield jobs.c[name] == value
    if wanted.tags:
        # The second half says again what the first implies: so the planner sees that a partial index will do.
        yield jobs.c.tags.op("@>")(cast(list(wanted.tags), ARRAY(Text)))
        yield jobs.c.tags != cast([], ARRAY(Text))
    for name, value in (wanted.metadata or {}).items():
        yield _has(jobs, name, value)


def _has(jobs: FromClause, name: str, value: Any) -> ColumnElement[bool]:
    values = [value]
    if isinstance(value, str):
        with suppress(ValueError):
            values.append(from_json(value, allow_inf_nan=False))
    found = or_(*(jobs.c.metadata.op("@>")(_json({name: value})) for value in values))
    return and_(found, jobs.c.metadata != _json({}))


def _json(value: Any) -> ColumnElement[Any]:
    return cast(cast(encode(value), Text), JSONB)
