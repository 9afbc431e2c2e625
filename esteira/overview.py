"""Queues, tasks, workers and totals as people are shown them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from esteira.job import Priority


class Queue(BaseModel):
    """How deep a queue is, and what is set for it. Ages are seconds.

    keep_finished_seconds, keep_dead_seconds: how long its ended jobs are kept; None: as all others.
    """

    queue: str
    ready: int
    scheduled: int
    running: int
    waiting: int
    dead: int
    paused_at: datetime | None
    oldest_ready_at: datetime | None
    oldest_ready_age_seconds: float | None
    workers: int
    keep_finished_seconds: float | None
    keep_dead_seconds: float | None


class DeclaredTask(BaseModel):
    """A task as the newest worker declared it, and its jobs that have not ended well."""

    task: str
    version: int
    queue: str
    priority: Priority
    max_attempts: int
    retry_first_seconds: float
    retry_max_seconds: float
    timeout_seconds: float
    executor: Literal["async", "thread", "process"]
    steps: list[str]
    unique_fields: list[str] | None
    unique_on_conflict: Literal["return", "replace", "reject"] | None
    payload_schema: dict[str, Any]
    declared_at: datetime
    paused_at: datetime | None
    ready: int
    scheduled: int
    running: int
    waiting: int
    dead: int
    workers: int


class Worker(BaseModel):
    """A worker of the last day. `queues` None means all.

    held_slots: those in which a handler runs on though it was told to stop. stalled_engines: those whose loop has stood
    still since `stalled_at`. trouble: what that means, and what to do, in a sentence.
    """

    id: UUID
    hostname: str
    pid: int
    version: str
    state: Literal["alive", "draining", "silent", "lost", "stopped"]
    queues: list[str] | None
    tasks: list[str]
    engines: int
    slots: int
    running: int
    held_slots: int
    stalled_engines: list[int] | None
    stalled_at: datetime | None
    free_slots: int
    trouble: str | None
    started_at: datetime
    beat_at: datetime
    silent_for_seconds: float
    ended_at: datetime | None


class Ended(BaseModel):
    """How many jobs ended in the last so many seconds."""

    seconds: float
    completed: int
    cancelled: int
    dead: int


class Totals(BaseModel):
    """How many jobs there are in each state, over all queues, and what works on them.

    finished_estimate: about so many completed and cancelled ones are kept.
    """

    ready: int
    scheduled: int
    running: int
    waiting: int
    dead: int
    finished_estimate: int
    oldest_ready_at: datetime | None
    oldest_ready_age_seconds: float | None
    workers: int
    slots: int
