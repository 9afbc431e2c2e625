"""What the workers declared: the tasks, their payloads' schemas, and who is there to run them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import structlog

from esteira import queries
from esteira.client import Client
from esteira.encoding import decode
from esteira.job import Warning  # noqa: A004 - the word of the interface
from esteira.operations import PATIENCE_SECONDS
from esteira_service.problems import InputError, json_pointer

MAX_AGE_SECONDS = 2.0
# A task that is not there yet may come at any moment, and whoever declares it wants to see that.
MAX_AGE_OF_ABSENCE_SECONDS = 0.2
_MAX_FAULTS = 20
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Declared:
    """A task as its newest declaration has it; revision changes with the row."""

    revision: str
    queue: str
    is_unique: bool
    is_paused: bool
    schema: jsonschema_rs.Validator | None


@dataclass(frozen=True, slots=True)
class _Living:
    queues: frozenset[str] | None
    tasks: frozenset[str]


class Catalogue:
    """Know what is declared as it was two seconds ago at most, by one look for all requests of the process."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tasks: Mapping[str, Declared] = {}
        self._workers: list[_Living] = []
        self._paused: frozenset[str] = frozenset()
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def refresh(self, tasks: Collection[str]) -> None:
        """Look again if it is time to. Raises DatabaseUnavailable."""
        age = time.monotonic() - self._looked_at
        if age < MAX_AGE_OF_ABSENCE_SECONDS or (age < MAX_AGE_SECONDS and all(task in self._tasks for task in tasks)):
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        # Whoever began to look may go away; the others still want to know.
        await asyncio.shield(self._looking)

    def get(self, task: str) -> Declared | None:
        """Return a task's declaration."""
        return self._tasks.get(task)

    def payload_faults(self, task: str, payload: Any) -> list[InputError]:
        """Return what does not fit the schema that the task declares, twenty faults at most."""
        declared = self._tasks.get(task)
        if declared is None or declared.schema is None or declared.schema.is_valid(payload):
            return []
        faults: list[InputError] = []
        for error in declared.schema.iter_errors(payload):
            faults.extend(_faults(error))
            if len(faults) >= _MAX_FAULTS:
                break
        return faults[:_MAX_FAULTS]

    def warnings(self, task: str, queue: str) -> list[Warning]:
        """Return why nobody would run a job of this task in this queue."""
        return [*self._without_worker(task, queue), *self._pauses(task, queue)]

    def _without_worker(self, task: str, queue: str) -> list[Warning]:
        if task not in self._tasks:
            detail = f"No worker has declared the task {task} yet; the job waits for one: esteira worker --tasks MODULE"
            return [Warning(code="TASK_UNKNOWN", detail=detail)]
        if any(task in one.tasks and (one.queues is None or queue in one.queues) for one in self._workers):
            return []
        detail = (
            f'No living worker serves the queue "{queue}" and knows the task {task}; the job waits for one:'
            f" esteira worker --tasks MODULE --queues {queue}"
        )
        return [Warning(code="NO_WORKER", detail=detail)]

    def _pauses(self, task: str, queue: str) -> list[Warning]:
        told = []
        if queue in self._paused:
            detail = f'The queue "{queue}" is paused; the job waits for POST /v1/queues/{quote(queue, safe="")}/resume'
            told.append(Warning(code="QUEUE_PAUSED", detail=detail))
        declared = self._tasks.get(task)
        if declared is not None and declared.is_paused:
            detail = f"The task {task} is paused; the job waits for POST /v1/tasks/{quote(task, safe='')}/resume"
            told.append(Warning(code="TASK_PAUSED", detail=detail))
        return told

    async def _look(self) -> None:
        fetch = self._client.database.fetch
        began = time.monotonic()
        rows = await fetch(queries.DECLARATIONS, patience=PATIENCE_SECONDS)
        current = {(row["name"], row["revision"]) for row in rows}
        known = {name: one for name, one in self._tasks.items() if (name, one.revision) in current}
        new = [row["name"] for row in rows if row["name"] not in known]
        schemas = await fetch(queries.PAYLOAD_SCHEMAS, new, patience=PATIENCE_SECONDS) if new else []
        compiled = {row["name"]: _compile(row["name"], decode(row["payload_schema"])) for row in schemas}
        self._tasks = known | {
            row["name"]: Declared(
                row["revision"], row["queue"], row["is_unique"], row["is_paused"], compiled[row["name"]]
            )
            for row in rows
            if row["name"] in compiled
        }
        self._workers = [
            _Living(None if row["queues"] is None else frozenset(row["queues"]), frozenset(row["tasks"]))
            for row in await fetch(queries.LIVING_WORKERS, patience=PATIENCE_SECONDS)
        ]
        paused = await fetch(queries.QUEUES_ON_PAUSE, patience=PATIENCE_SECONDS)
        self._paused = frozenset(row["name"] for row in paused)
        self._looked_at = began


def _compile(task: str, schema: Any) -> jsonschema_rs.Validator | None:
    try:
        # Offline: what a schema refers to elsewhere is not fetched. Masked: a fault does not repeat a whole payload.
        # Formats are left to the worker, as JSON Schema has it.
        return jsonschema_rs.validator_for(schema, offline=True, mask="this", validate_formats=False)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        log.warning("schema_not_usable", task=task, error=str(error).splitlines()[0])
        return None


def _faults(error: jsonschema_rs.ValidationError) -> list[InputError]:
    """Say it at the field that is missing or too much, not at the object around it."""
    place = ("payload", *error.instance_path)
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        return [InputError(pointer=json_pointer((*place, kind.property)), detail="the task requires this field")]
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        detail = "the task does not know this field"
        return [InputError(pointer=json_pointer((*place, name)), detail=detail) for name in kind.unexpected]
    return [InputError(pointer=json_pointer(place), detail=error.message)]
