"""`python -m bench.profile [JOBS]`: where the time of a no-op job goes, while Esteira drains so many.

The server's part and the worker's are what the kernel counted for their processes during the first half. During the
second py-spy (`pip install py-spy`), if it is there, looks at the engine's stacks a few hundred times a second.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory

import psutil
from rich.console import Console
from rich.table import Table

from bench.servers import servers
from bench.session import POLL_SECONDS, Session, session
from bench.systems.esteira import SYSTEM
from bench.worker import Worker

JOBS = 200_000
SAMPLES_PER_SECOND = 400
TOP = 12
_LEFT = "select count(*) from esteira.job_live"
_SESSIONS = "select pid from pg_stat_activity where datname = current_database() and application_name like 'esteira/%'"
# Whose a sample is: the innermost frame that belongs to one of these says it.
_PLACES = {
    "engine: driver (asyncpg)": r"asyncpg|protocol\.c|pgproto|esteira/database",
    "engine: payload and result": r"signature\.py|pydantic|encoding\.py|orjson",
    "engine: handler": r"bench/tasks\.py|bench/ledger\.py",
    "engine: garbage collector": r"gc_collect",
    "engine: claimer, slots, settler": r"esteira_worker/",
    "engine: event loop and system calls": r"loop\.c|uv_|epoll|asyncio",
}
# Other threads, and the loop where it waits: the profiler takes both for busy.
_IDLE = re.compile(r"threading\.py|;epoll_p?wait[^;]*$")


async def profile(jobs: int) -> None:
    """Drain, and print two tables."""
    with servers() as started:
        async with session(SYSTEM, started) as opened:
            await opened.many(jobs)
            await opened.place.run("vacuum analyze")
            async with opened.working() as worker:
                spent, samples = await _watched(opened, worker, jobs)
                await opened.done(600, worker)
    _show(spent, samples)


async def _watched(opened: Session, worker: Worker, jobs: int) -> tuple[dict[str, float], Counter[str]]:
    """Return the microseconds a job of each kind of process, and the engine's stacks with how often each was seen."""
    await _until_left(opened, int(jobs * 0.95))
    supervisor = psutil.Process(worker.processes[0].pid)
    engine = max(supervisor.children(), key=lambda child: child.cpu_times().user)
    sessions = [row[0] for row in await (await opened.place.connected()).fetch(_SESSIONS)]
    groups = {
        "server: claim and settle": [psutil.Process(pid) for pid in sessions],
        "engine": [engine],
        "supervisor": [supervisor],
    }
    before, left = {name: _seconds(processes) for name, processes in groups.items()}, await opened.place.value(_LEFT)
    await _until_left(opened, jobs // 2)
    done = left - await opened.place.value(_LEFT)
    spent = {name: (_seconds(processes) - before[name]) / done * 1e6 for name, processes in groups.items()}
    return spent, await _sampled(opened, engine.pid, jobs // 20)


async def _sampled(opened: Session, pid: int, left: int) -> Counter[str]:
    spy = shutil.which("py-spy") or shutil.which(str(Path(sys.executable).with_name("py-spy")))
    if spy is None:
        print("without py-spy the engine's time is one figure: pip install py-spy", file=sys.stderr)
        return Counter()
    with TemporaryDirectory() as folder:
        found = Path(folder) / "stacks"
        arguments = ["--pid", pid, "--rate", SAMPLES_PER_SECOND, "--native", "--format", "raw", "--output", found]
        process = await asyncio.create_subprocess_exec(spy, "record", *map(str, arguments), stdout=DEVNULL)
        await _until_left(opened, left)
        if process.returncode is not None:
            print("py-spy ended early, so the engine's time is one figure: see what it said above", file=sys.stderr)
            return Counter()
        process.send_signal(signal.SIGINT)
        await process.wait()
        lines = [line.rpartition(" ") for line in found.read_text().splitlines()]
    return Counter({stack: int(seen) for stack, _, seen in lines if not _IDLE.search(stack)})


async def _until_left(opened: Session, count: int) -> None:
    while await opened.place.value(_LEFT) > count:
        await asyncio.sleep(POLL_SECONDS)


def _seconds(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(float(time.user + time.system) for time in times)


def _place(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        for place, pattern in _PLACES.items():
            if re.search(pattern, frame):
                return place
    return "engine: other"


def _show(spent: dict[str, float], samples: Counter[str]) -> None:
    places: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    for stack, seen in samples.items():
        places[_place(stack)] += seen
        entries[stack.rpartition(";")[2]] += seen
    total, engine = sum(places.values()), spent["engine"]
    parts = {place: engine * seen / total for place, seen in places.most_common()} or {"engine": engine}
    parts = {name: spent[name] for name in spent if name != "engine"} | parts
    table = Table("of a no-op job", "µs", "share", title=f"{sum(parts.values()):.1f} µs of processor time a job")
    for name, micros in parts.items():
        table.add_row(name, f"{micros:.2f}", f"{micros / sum(parts.values()):.0%}")
    Console().print(table)
    if total:
        top = Table("the engine's top entries", "share of the engine")
        for entry, seen in entries.most_common(TOP):
            top.add_row(entry, f"{seen / total:.1%}")
        Console().print(top)


if __name__ == "__main__":
    asyncio.run(profile(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS))
