"""Which jobs, and in which order: what lists, counts and bulk acts are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

Sort = Literal["created_at", "-created_at", "finished_at", "-finished_at"]


@dataclass(frozen=True)
class JobFilter:
    """Say which jobs; None means any.

    tags: jobs that have all of these. metadata: jobs whose metadata has all of these; a text is also found where the
    metadata has the number or the boolean that it reads as.
    The times are aware; `after` is included, `before` is not.
    """

    status: Sequence[str] | None = None
    queue: str | None = None
    task: str | None = None
    tags: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    worker: UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    stuck: bool = False

    def within(self, statuses: Sequence[str]) -> JobFilter:
        """Return the same filter, narrowed to these statuses."""
        return replace(self, status=[status for status in statuses if self.status is None or status in self.status])


@dataclass(frozen=True)
class Page:
    """Say which of the jobs that a filter finds, in which order.

    sort: by creation, or by the end (then of ended jobs only); "-" means the latest first. after: (sort key, id) of the
    job before the page, the sort key None where it is the creation. bodies: "payload", "result".
    """

    sort: Sort = "-created_at"
    after: tuple[datetime | None, UUID] | None = None
    limit: int = 50
    offset: int = 0
    bodies: Sequence[str] = ()
