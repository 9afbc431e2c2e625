"""A process that runs plain functions for an engine, one at a time, until the engine hangs up."""

from __future__ import annotations

import socket
import sys

import orjson

from esteira.database import SyncDatabase
from esteira.logging import configure_logging
from esteira.settings import Settings
from esteira_worker.endings import Ending, failed
from esteira_worker.executors.plain import run_plain
from esteira_worker.kinship import die_with_parent, leave_stopping_to_parent
from esteira_worker.messages import claimed_from, ending_message
from esteira_worker.modules import load_tasks

# What leaks is given back: after so many jobs the engine starts another process.
JOBS_A_LIFE = 1000


def main(descriptor: int, parent: int) -> None:
    """Serve the engine on the inherited socket."""
    die_with_parent(parent)
    leave_stopping_to_parent()
    with socket.socket(fileno=descriptor) as engine, engine.makefile("rb") as lines:
        start = orjson.loads(lines.readline())
        settings = Settings(**start["settings"])
        configure_logging(settings.log_level, settings.log_format)
        database = SyncDatabase(settings.require_database_url(), session_name=start["session_name"], size=2)
        try:
            tasks = load_tasks(settings.tasks)
        except BaseException as error:  # noqa: BLE001 - somebody's module; the first job that waits for it is told
            if lines.readline():
                _answer(engine, failed(error, retryable=True), last=True)
            return
        for count, line in enumerate(lines, 1):
            job = claimed_from(orjson.loads(line))
            _answer(engine, run_plain(job, tasks[job.task], database), last=count == JOBS_A_LIFE)


def _answer(engine: socket.socket, ending: Ending, *, last: bool) -> None:
    engine.sendall(orjson.dumps({**ending_message(ending), "last": last}) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
