"""One system on a database of its own: enqueue, work, wait until all is done, check that each job ran once."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ledger import FOLDER, Ledger, NotExactlyOnceError, check_exactly_once
from bench.servers import Place, Servers
from bench.system import ROOT, System
from bench.worker import STOP_SECONDS, Worker, working

POLL_SECONDS = 0.01
# Walking through all processes takes milliseconds: at every poll it was as dear as the worker.
SAMPLE_SECONDS = 0.1
ANSWER_SECONDS = 900
# An answer is one line; of a long steady load it tells ten thousand moments, twice.
ANSWER_BYTES = 16_000_000
BACKEND_ENDS_SECONDS = 0.1
# Of each draining the first part is not counted: interpreters compile, pools connect, caches fill.
WARM_UP_SHARE = 0.1
WARM_UP_JOBS = 10


class StuckError(Exception):
    """Not all jobs were done in time; the message says how many."""


@dataclass(frozen=True)
class Drained:
    """What draining cost, after the warm-up; WAL and commits are those of all jobs, from start to stop."""

    jobs_per_second: float
    cpu_microseconds: float
    wal_bytes: float
    commits: float
    resident_mb: float


class Session:
    """A system in one scenario."""

    def __init__(self, system: System, place: Place, folder: Path) -> None:
        self.system, self.place = system, place
        self.environment = {"BENCH_URL": place.url, FOLDER: str(folder / "ledger")}
        self.ledger = Ledger(folder / "ledger")
        self._folder = folder
        self._client: asyncio.subprocess.Process | None = None
        self._enqueued = 0
        self._checked = 0
        self._future = 0
        self._kept = 0

    async def start(self) -> None:
        """Start the client and let it make the schema."""
        self.ledger.folder.mkdir()
        command = self.system.client(self.place)
        with self._log.open("ab") as log:
            self._client = await asyncio.create_subprocess_exec(
                *command.arguments,
                env={**os.environ, **self.environment, **command.environment},
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=ANSWER_BYTES,
            )
        await self._ask("install")

    async def stop(self) -> None:
        """End the client."""
        if self._client is not None and self._client.returncode is None:
            assert self._client.stdin is not None
            self._client.stdin.close()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._client.wait()
            except TimeoutError:
                self._client.kill()
                await self._client.wait()

    async def many(self, count: int, *, size: int = 100, ms: int = 0, delay: float = 0) -> float:
        """Enqueue jobs in bulk; return the seconds. Jobs with a delay are not expected to run."""
        # What was written before is no burden then, and the WAL's files are there to be written again.
        await self.place.run("checkpoint")
        first = self._next(count)
        if delay:
            self._future += count
            self._checked = self._enqueued
        return float(await self._ask("many", first=first, count=count, size=size, ms=ms, delay=delay))

    async def single(self, count: int) -> float:
        """Enqueue jobs one by one, each durable before the next; return the seconds."""
        return float(await self._ask("single", first=self._next(count), count=count, size=100))

    async def warm_up(self) -> None:
        """Enqueue a few jobs one by one, so that the client is connected."""
        await self.single(WARM_UP_JOBS)

    async def paced(self, count: int, rate: float, *, jitter: float = 0) -> dict[str, list[float]]:
        """Enqueue jobs at a rate; return when each was due and when it was called (monotonic seconds)."""
        answer: dict[str, list[float]] = await self._ask(
            "paced", first=self._next(count), count=count, rate=rate, jitter=jitter
        )
        return answer

    def working(self, processes: int = 1, slots: int | None = None) -> AbstractAsyncContextManager[Worker]:
        """Run workers within an `async with`."""
        return working(self.system.workers(self.place, processes, slots), self.environment, self._log)

    async def done(self, seconds: float, worker: Worker) -> tuple[list[float], float]:
        """Wait until all that was enqueued has ended, check it, and return when each began, by number, and the end.

        Raises StuckError, NotExactlyOnceError; RuntimeError where the worker died.
        """
        expected = range(self._checked, self._enqueued)
        try:
            async with asyncio.timeout(seconds):
                if self.system.handles:  # their database is left in peace until all handlers have begun
                    await self._until(worker, lambda: self._begun(len(expected)))
                end = await self._until(worker, self._settled)
                worker.sample()
                await self._until(worker, lambda: self._begun(len(expected)))
        except TimeoutError:
            raise StuckError(f"{await self._progress()} of {len(expected):,} done after {seconds:.0f} s") from None
        began = self.ledger.read()
        check_exactly_once([number for number, _ in began], expected)
        await self._check_tables(len(expected))
        self._checked = self._enqueued
        self.ledger.clear()
        return [moment for _, moment in sorted(began)], end

    async def drain(
        self, count: int, seconds: float, *, processes: int = 1, slots: int | None = None, size: int = 100, ms: int = 0
    ) -> Drained:
        """Enqueue, then start workers and measure until all is done."""
        await self.many(count, size=size, ms=ms)
        await self.place.run("vacuum analyze")
        return await self.drain_enqueued(count, seconds, processes=processes, slots=slots)

    async def drain_enqueued(
        self, count: int, seconds: float, *, processes: int = 1, slots: int | None = None
    ) -> Drained:
        """Start workers on what is there and measure until all is done."""
        wal, commits, asked = await self._wal(), await self._commits(), self.place.asked
        async with self.working(processes, slots) as worker:
            began, end = await self.done(seconds, worker)
            wal = await self._wal() - wal
            memory = worker.memory()
            warm = int(count * WARM_UP_SHARE)
            since = sorted(began)[warm]
            cpu = worker.cpu_since(since)
        await asyncio.sleep(BACKEND_ENDS_SECONDS)
        # Backends report what they did when they end at the latest.
        commits = await self._commits() - commits - (self.place.asked - asked)
        counted = count - warm
        return Drained(
            counted / (end - since), cpu / counted * 1e6, wal / count, max(0, commits) / count, memory.resident_mb
        )

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def last_words(self) -> str:
        """Return the end of what client and workers wrote."""
        return self._log.read_text(errors="replace")[-1500:] if self._log.exists() else ""

    def _next(self, count: int) -> int:
        first, self._enqueued = self._enqueued, self._enqueued + count
        return first

    async def _ask(self, verb: str, **request: Any) -> Any:
        assert self._client is not None
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(json.dumps({"verb": verb, **request}).encode() + b"\n")
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await self._client.stdout.readline()
        if not answer:
            raise RuntimeError(f"the client ended: {self.last_words()}")
        return json.loads(answer)

    async def _until(self, worker: Worker, condition: Callable[[], Awaitable[bool]]) -> float:
        """Return the moment at which a condition was met: that of the question, since the answer may take 0.2 s."""
        while True:
            asked = time.monotonic()
            if await condition():
                return asked
            worker.check_alive()
            worker.sample(at_least=SAMPLE_SECONDS)
            await asyncio.sleep(POLL_SECONDS)

    async def _begun(self, count: int) -> bool:
        return self.ledger.count() >= count

    async def _settled(self) -> bool:
        return await self.system.settled(self.place)

    async def _progress(self) -> str:
        counts = await self.system.counts(self.place)
        return f"{self._enqueued - self._checked - (counts.left - self._future):,}"

    async def _check_tables(self, jobs: int) -> None:
        """Compare with what the system's own tables say."""
        counts = await self.system.counts(self.place)
        if counts.left != self._future:
            raise NotExactlyOnceError(f"{counts.left:,} jobs are left, where {self._future:,} lie in the future")
        if counts.done is not None and counts.done != self._kept + jobs:
            raise NotExactlyOnceError(f"its tables have {counts.done:,} done jobs, not {self._kept + jobs:,}")
        self._kept += jobs

    async def finish(self, rows: int) -> bool:
        """Write jobs that ended long ago, where the system keeps such."""
        kept = await self.system.finish(self.place, rows)
        self._kept = (await self.system.counts(self.place)).done or 0
        return kept

    async def _wal(self) -> int:
        return int(await self.place.value("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    async def _commits(self) -> int:
        await self.place.value("select pg_stat_force_next_flush()")  # ours are in it then, and can be taken off
        query = "select xact_commit from pg_stat_database where datname = current_database()"
        return int(await self.place.value(query))


@asynccontextmanager
async def session(system: System, servers: Servers) -> AsyncIterator[Session]:
    """Give a system an empty database and a client."""
    name = f"bench_{system.name.replace('-', '_')}"
    place = await servers.new_place(name)
    with tempfile.TemporaryDirectory(prefix="esteira-bench-") as folder:
        opened = Session(system, place, Path(folder))
        try:
            await opened.start()
            yield opened
        finally:
            await opened.stop()
            await place.close()
            await servers.drop(name)
