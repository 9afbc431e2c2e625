"""A process that runs plain functions for an engine, one at a time, until the engine hangs up."""

from __future__ import annotations

import signal
import socket
import sys

import orjson

from esteira.database import SyncDatabase
from esteira_worker.executors.plain import run_plain
from esteira_worker.kinship import die_with_parent
from esteira_worker.messages import claimed_from, ending_message
from esteira_worker.modules import load_tasks


def main(descriptor: int, parent: int) -> None:
    """Serve the engine on the inherited socket."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as engine, engine.makefile("rwb") as lines:
        start = orjson.loads(lines.readline())
        database = SyncDatabase(start["database_url"], session_name=start["session_name"], size=2)
        tasks = load_tasks(start["modules"])
        for line in lines:
            job = claimed_from(orjson.loads(line))
            lines.write(orjson.dumps(ending_message(run_plain(job, tasks[job.task], database))) + b"\n")
            lines.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
