"""What Python does for a no-op job between a claim's rows and the settle's statement: calls, and instructions.

Both are counted where the code is ours; the loop's and the libraries' own are one call each. The database is replaced
by one that answers at once, so that nothing depends on time: the counts are the same in every run, to the last one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import pytest

import esteira
import esteira_worker
from esteira.database import Database
from esteira.running import Claimed
from esteira_worker.buffer import Buffer
from esteira_worker.executors import AsyncExecutor
from esteira_worker.settler import Settler
from esteira_worker.slot import Slot
from tests.hot_path.meter import ROOM, show
from tests.hot_path.noop_tasks import app
from tests.worker.conftest import until

JOBS = 2_000
SLOTS = 10
# (calls, instructions) per job, measured. A Python that is not here is compared with the newest that is.
MEASURED = {(3, 11): (22.2, 320), (3, 12): (22.2, 294), (3, 13): (22.2, 291)}
OURS = tuple(f"{Path(package.__path__[0])}/" for package in (esteira, esteira_worker))
Counting = Callable[[], AbstractContextManager[list[int]]]


class Instant(Database):
    """A database that completes all at once, and tells when so many jobs are done."""

    def __init__(self, jobs: int) -> None:
        super().__init__("postgresql://nowhere")
        self._left = jobs
        self.done = asyncio.Event()

    async def fetch(self, query: Any, *args: Any, patience: float = 0) -> list[Any]:
        await asyncio.sleep(0)
        ids = args[0].strip("{}").split(",")
        self._left -= len(ids)
        if not self._left:
            self.done.set()
        return [(UUID(job_id),) for job_id in ids]


def is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(OURS)


@contextmanager
def calls() -> Iterator[list[int]]:
    """Count the calls of our functions, and those that they make of functions in C."""
    counted, before = [0], sys.getprofile()

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event in ("call", "c_call") and is_ours(frame):
            counted[0] += 1

    sys.setprofile(profile)
    try:
        yield counted
    finally:
        sys.setprofile(before)


@contextmanager
def instructions() -> Iterator[list[int]]:
    """Count the instructions that the interpreter runs in our functions."""
    counted, before = [0], sys.gettrace()

    def inside(_frame: FrameType, event: str, _argument: object) -> Any:
        counted[0] += event == "opcode"
        return inside

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        if not is_ours(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return inside

    sys.settrace(trace)
    try:
        yield counted
    finally:
        sys.settrace(before)


async def spent(jobs: int, counting: Counting) -> int:
    """Run jobs from buffer to settler, and give what was counted meanwhile."""
    database, buffer = Instant(jobs), Buffer()
    settler = Settler(database)
    slots = [Slot(buffer, settler, {"async": AsyncExecutor(database)}, app.tasks) for _ in range(SLOTS)]
    settling = asyncio.create_task(settler.run())
    for slot in slots:
        slot.start()
    await until(lambda: buffer.idle == SLOTS)
    claimed = [Claimed(UUID(int=number), 1, "default", "t.noop", "{}", 0, 0, None) for number in range(jobs)]
    with counting() as counted:
        buffer.put(claimed)
        await database.done.wait()
    for slot in slots:
        slot.finish()
    settling.cancel()
    await asyncio.gather(settling, *(slot.ended() for slot in slots), return_exceptions=True)
    return counted[0]


@pytest.mark.parametrize(("kind", "counting"), [(0, calls), (1, instructions)], ids=["calls", "instructions"])
async def test_a_job_takes_as_many_of_them_as_were_measured(kind: int, counting: Counting) -> None:
    # What is made once, such as the types' adapters, is made before.
    await spent(SLOTS, counting)
    each = await spent(JOBS, counting) / JOBS
    show(f"{counting.__name__} a job, Python {sys.version_info.major}.{sys.version_info.minor}", each)
    measured = MEASURED.get(sys.version_info[:2], MEASURED[max(MEASURED)])[kind]
    assert each <= ROOM * measured, f"{measured} were measured"
