"""Which jobs are meant: the query of a list and the body of an act on many say it in the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Self, get_args
from uuid import UUID

from fastapi import Request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    model_validator,
)

from esteira.job import Status
from esteira.job_filter import JobFilter
from esteira_service.problems import InputError, invalid

METADATA = "metadata."
_LOST_PLUS = re.compile(r":\d\d(\.\d+)? \d\d:?\d\d$")
# Each takes milliseconds to compose and to plan, in which nobody else is served.
MAX_METADATA = 20


def _is_rfc_3339(value: object) -> object:
    # Pydantic would read "20300131" as seconds since 1970: a time long past, so that the job runs at once.
    if not isinstance(value, str) or value[4:5] != "-":
        raise ValueError("write it as in RFC 3339: 2030-01-31T09:00:00Z")
    if _LOST_PLUS.search(value):
        raise ValueError("in an address + stands for a space: write the zone's + as %2B, or the time in UTC with Z")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("it lies outside of the years 1 to 9999") from None


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Time = Annotated[AwareDatetime, Strict(strict=False), BeforeValidator(_is_rfc_3339), AfterValidator(_in_utc)]


class FilterRequest(BaseModel):
    """Which jobs; what is left out does not matter. Who means all names the statuses: `{}` is an accident."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"minProperties": 1})

    status: Annotated[list[Status], BeforeValidator(_as_list, Status | list[Status])] | None = None
    queue: str | None = None
    task: str | None = None
    tag: Annotated[list[str], BeforeValidator(_as_list, str | list[str])] | None = Field(
        None, description="Jobs that have all of these tags."
    )
    worker: UUID | None = Field(None, description="The worker that runs them, or ran them last.")
    created_after: Time | None = Field(None, description="Created at this time or later.")
    created_before: Time | None = Field(None, description="Created before this time.")
    finished_after: Time | None = Field(None, description="Ended at this time or later.")
    finished_before: Time | None = Field(None, description="Ended before this time.")
    metadata: dict[str, Any] | None = Field(
        None, max_length=MAX_METADATA, description="Jobs whose metadata has all of these."
    )
    stuck: bool = Field(False, description="Only jobs that are stuck.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("say which jobs; if all are meant, name their statuses: " + '{"status": ["dead"]}')
        return self

    def job_filter(self) -> JobFilter:
        """Say it in the client's words."""
        return JobFilter(
            self.status, self.queue, self.task, self.tag, self.metadata, self.worker,
            self.created_after, self.created_before, self.finished_after, self.finished_before, self.stuck,
        )  # fmt: skip


class ManyRequest(BaseModel):
    """An act on many jobs, the oldest first."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"filter": {"queue": "billing", "tag": ["spring"]}, "dry_run": True}]},
    )

    filter: FilterRequest
    dry_run: bool = Field(False, description="Change nothing, only count.")
    limit: int = Field(10_000, ge=1, le=10_000, description="Act on so many at most.")


def read_choices(parameter: str, given: Sequence[str] | None, known: Iterable[str]) -> list[str] | None:
    """Read words that are repeated or stand with commas between. Refuses those that are not known."""
    if given is None:
        return None
    known = list(known)
    words = [word for part in given for word in part.split(",")]
    wrong = [word for word in words if word not in known]
    if wrong:
        detail = f"{', '.join(map(repr, wrong))}: choose from {', '.join(known)}"
        raise invalid([InputError(parameter=parameter, detail=detail)])
    return words


def read_statuses(given: Sequence[str] | None) -> list[str] | None:
    """Read statuses. Refuses what is none."""
    return read_choices("status", given, get_args(Status))


def read_metadata(request: Request) -> dict[str, str] | None:
    """Read the parameters metadata.KEY=VALUE. Refuses one without a key, or given twice, and too many."""
    given = [(name, value) for name, value in request.query_params.multi_items() if name.startswith(METADATA)]
    found = {name.removeprefix(METADATA): value for name, value in given}
    if "" in found:
        raise invalid([InputError(parameter=METADATA, detail="name the key, as in metadata.order=2026-117")])
    if len(found) < len(given):
        detail = "give each key once: no job's metadata has two values of one key"
        raise invalid([InputError(parameter="metadata", detail=detail)])
    if len(found) > MAX_METADATA:
        raise invalid([InputError(parameter="metadata", detail=f"{MAX_METADATA} keys at most")])
    return found or None
