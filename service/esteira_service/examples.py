"""Answers as the documentation shows them."""

from __future__ import annotations

from typing import Any

_JOB_ID = "01976d3c-5a5e-7c3a-9d2e-0b6f6a1f2b3c"
_PATH = f"/v1/jobs/{_JOB_ID}"
_LIST_ITEM: dict[str, Any] = {
    "id": _JOB_ID,
    "queue": "billing",
    "task": "billing.fulfil",
    "priority": "normal",
    "status": "running",
    "reason": None,
    "done": False,
    "progress": 0.45,
    "progress_message": "page 9 of 20",
    "current_step": "render",
    "attempt": 1,
    "failures": 0,
    "max_attempts": 3,
    "retry_first_seconds": 5.0,
    "retry_max_seconds": 3600.0,
    "crashes": 0,
    "generation": 1,
    "metadata": {"order": "2026-117"},
    "tags": ["spring"],
    "error": None,
    "unique_key": None,
    "worker_id": "01976d3b-0000-7000-8000-000000000001",
    "timeout_seconds": 3600.0,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:12Z",
    "run_at": "2026-03-01T09:00:00Z",
    "expires_at": None,
    "started_at": "2026-03-01T09:00:00.004Z",
    "finished_at": None,
    "cancel_requested_at": None,
    "execution_time_seconds": 12.4,
    "warnings": [],
    "poll_after_seconds": 1,
    "links": {
        "self": _PATH,
        "result": f"{_PATH}/result",
        "steps": f"{_PATH}/steps",
        "attempts": f"{_PATH}/attempts",
        "explain": f"{_PATH}/explain",
        "cancel": f"{_PATH}/cancel",
        "retry": None,
        "discard": None,
    },
}
_BODIES: dict[str, Any] = {"payload": {"id": 1, "customer": "a", "amount": 5}, "result": None}
_NEW: dict[str, Any] = {
    "status": "queued",
    "progress": 0.0,
    "progress_message": None,
    "current_step": None,
    "attempt": 0,
    "worker_id": None,
    "started_at": None,
    "execution_time_seconds": None,
}
_ENDED: dict[str, Any] = {
    "done": True,
    "finished_at": "2026-03-01T09:00:12Z",
    "poll_after_seconds": None,
    "links": {**_LIST_ITEM["links"], "cancel": None},
}

RUNNING = {**_LIST_ITEM, **_BODIES}
QUEUED = {**RUNNING, **_NEW}
EDITED = {**QUEUED, "priority": "high"}
UNKNOWN_TASK = {
    **QUEUED,
    "warnings": [{"code": "TASK_UNKNOWN", "detail": "No worker has declared the task billing.fulfil yet; …"}],
}
COMPLETED = {**RUNNING, **_ENDED, "status": "completed", "progress": 1.0, "result": {"charge": "ch_1", "pages": 20}}
CANCELLED = {**QUEUED, **_ENDED, "status": "cancelled", "reason": "cancelled"}
CANCELLED["links"] = {**CANCELLED["links"], "retry": f"{_PATH}/retry"}
STOPPING = {**RUNNING, "cancel_requested_at": "2026-03-01T09:00:12Z"}
MANY_ACTED = {"matched": 120, "changed": 120, "more": False, "dry_run": False}
MANY_CANCELLED = {**MANY_ACTED, "changed": 116, "asked_to_stop": 4}
PAGE = {"items": [_LIST_ITEM], "next": "AZdtPFpefDqdLgtvah8rPA"}
STEPS = {
    "items": [
        {
            "name": "charge",
            "attempt": 1,
            "result": {"charge": "ch_1"},
            "started_at": "2026-03-01T09:00:00Z",
            "finished_at": "2026-03-01T09:00:02Z",
            "duration_seconds": 2.0,
        }
    ]
}
ATTEMPTS = {
    "items": [
        {
            "attempt": 1,
            "outcome": "failed",
            "traceback": "Traceback (most recent call last): …",
            "error": {
                "type": "TimeoutError",
                "message": "the bank did not answer",
                "attempt": 1,
                "at": "2026-03-01T09:00:12Z",
            },
            "worker_id": "01976d3b-0000-7000-8000-000000000001",
            "started_at": "2026-03-01T09:00:00Z",
            "finished_at": "2026-03-01T09:00:12Z",
        }
    ]
}
EXPLANATION = {
    "code": "no_worker",
    "detail": 'No worker serves the queue "billing". Start one: esteira worker --tasks MODULE --queues billing',
}
QUEUE: dict[str, Any] = {
    "queue": "billing",
    "ready": 2,
    "scheduled": 1,
    "running": 4,
    "waiting": 0,
    "dead": 0,
    "paused_at": None,
    "oldest_ready_at": "2026-03-01T09:00:11Z",
    "oldest_ready_age_seconds": 1.2,
    "workers": 1,
    "keep_finished_seconds": None,
    "keep_dead_seconds": None,
}
QUEUES = {"items": [QUEUE]}
KEPT_QUEUE = {**QUEUE, "keep_finished_seconds": 86400.0}
PAUSED_QUEUE = {**QUEUE, "paused_at": "2026-03-01T09:00:12Z"}
PURGED = {"purged": 3}
TASK: dict[str, Any] = {
    "task": "billing.fulfil",
    "version": 1,
    "queue": "billing",
    "priority": "normal",
    "max_attempts": 5,
    "retry_first_seconds": 2.0,
    "retry_max_seconds": 300.0,
    "timeout_seconds": 600.0,
    "executor": "async",
    "steps": [],
    "unique_fields": ["id"],
    "unique_on_conflict": "return",
    "payload_schema": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    "declared_at": "2026-03-01T08:00:00Z",
    "paused_at": None,
    "ready": 2,
    "scheduled": 1,
    "running": 4,
    "waiting": 0,
    "dead": 0,
    "workers": 1,
}
TASKS = {"items": [TASK]}
PAUSED_TASK = {**TASK, "paused_at": "2026-03-01T09:00:12Z"}
DRAINING = {"id": "01976d3b-0000-7000-8000-000000000001", "drain_requested_at": "2026-03-01T09:00:12Z"}
_ENDED_LATELY = {"completed": 1200, "cancelled": 3, "dead": 1, "completed_per_second": 4.0}
STATS = {
    "ready": 2,
    "scheduled": 1,
    "running": 4,
    "waiting": 0,
    "dead": 7,
    "finished_estimate": 5000000,
    "oldest_ready_at": "2026-03-01T09:00:11Z",
    "oldest_ready_age_seconds": 1.2,
    "workers": 1,
    "slots": 10,
    "last_five_minutes": _ENDED_LATELY,
    "last_hour": {**_ENDED_LATELY, "completed": 14400},
}
WORKERS = {
    "items": [
        {
            "id": "01976d3b-0000-7000-8000-000000000001",
            "hostname": "machine-1",
            "pid": 4711,
            "version": "0.1.0",
            "state": "alive",
            "queues": None,
            "tasks": ["billing.fulfil"],
            "engines": 1,
            "slots": 10,
            "running": 4,
            "held_slots": 0,
            "stalled_engines": None,
            "stalled_at": None,
            "free_slots": 6,
            "trouble": None,
            "started_at": "2026-03-01T08:00:00Z",
            "beat_at": "2026-03-01T09:00:12Z",
            "silent_for_seconds": 0.6,
            "ended_at": None,
        }
    ]
}
READY = {
    "status": "ready",
    "warnings": [
        {
            "code": "QUEUE_WITHOUT_WORKER",
            "detail": 'Jobs stand in the queue "reports", and no living worker serves it. …',
        }
    ],
}
ALIVE = {"status": "alive", "warnings": []}
BATCH = {
    "accepted": 1,
    "refused": 1,
    "warnings": [],
    "items": [
        {"status": 202, "id": _JOB_ID, "outcome": "enqueued"},
        {
            "status": 422,
            "problem": {
                "code": "INVALID_INPUT",
                "title": "Unprocessable Content",
                "status": 422,
                "detail": "The request is not valid: see errors.",
                "errors": [{"pointer": "/jobs/1/task", "detail": "Field required"}],
            },
        },
    ],
}
