"""What changes a job that is there: the body of PATCH."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from esteira.encoding import encode
from esteira.job import Priority
from esteira_service.filters import Time
from esteira_service.requests import Moment, Name


def _left_out() -> Any:
    """Make what nobody reads: a field that is left out. Null is not that, and is refused; nobody has to guess."""


class JobChange(BaseModel):
    """What is given replaces what the job has; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"minProperties": 1, "examples": [{"priority": "high"}]}
    )

    priority: Priority = Field(default_factory=_left_out, description="Before it runs, or runs again.")
    queue: Name = Field(default_factory=_left_out, description="Before it runs, or runs again.")
    run_at: Moment = Field(
        default_factory=_left_out,
        description="Not before this time; before it runs, or runs again. Up to the year 2200.",
    )
    tags: list[str] = Field(default_factory=_left_out, description="At any time.")
    metadata: dict[str, Any] = Field(default_factory=_left_out, description="At any time.")
    payload: Any = Field(default_factory=_left_out, description="Before its first attempt; nested at most 100 deep.")
    unchanged_since: Time = Field(
        default_factory=_left_out,
        description="Only if the job's `updated_at` is still this: what If-Match says, for who cannot send it.",
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set - {"unchanged_since"}:
            raise ValueError("give at least one of priority, queue, run_at, tags, metadata, payload")
        return self

    def edit(self) -> dict[str, Any]:
        """Say it in the client's words."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if "payload" in given:
            given["payload"] = encode(given["payload"])
        return given
