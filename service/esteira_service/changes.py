"""What changes a job that is there: the body of PATCH."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from esteira.encoding import encode
from esteira.job import Priority
from esteira_service.filters import Time
from esteira_service.requests import Moment, Name


class JobChange(BaseModel):
    """What is given replaces what the job has; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"minProperties": 1, "examples": [{"priority": "high"}]}
    )

    priority: Priority | SkipJsonSchema[None] = Field(None, description="Before it runs, or runs again.")
    queue: Name | SkipJsonSchema[None] = Field(None, description="Before it runs, or runs again.")
    run_at: Moment | SkipJsonSchema[None] = Field(
        None, description="Not before this time; before it runs, or runs again. Up to the year 2200."
    )
    tags: list[str] | SkipJsonSchema[None] = Field(None, description="At any time.")
    metadata: dict[str, Any] | SkipJsonSchema[None] = Field(None, description="At any time.")
    payload: Any = Field(None, description="Before its first attempt; nested at most 100 deep.")
    unchanged_since: Time | SkipJsonSchema[None] = Field(
        None, description="Only if the job's `updated_at` is still this: what If-Match says, for who cannot send it."
    )

    @field_validator("priority", "queue", "run_at", "tags", "metadata", "unchanged_since", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        # Null might mean "as it is" or "none": nobody has to guess.
        if value is None:
            raise ValueError("give a value, or leave the field out")
        return value

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
