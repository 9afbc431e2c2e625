"""A worker that hands out each job twice."""

from __future__ import annotations

from typing import Any

from history_tasks import app  # noqa: F401 - what the worker runs
from replaced import replace

from esteira_worker.buffer import Buffer

put = Buffer.put


def put_twice(self: Any, jobs: Any) -> None:
    put(self, [job for job in jobs for _ in range(2)])


replace(Buffer, "put", put_twice)
