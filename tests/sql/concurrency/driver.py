"""Sessions, step by step, in every order: in the manner of PostgreSQL's isolation tester.

A program is a list of steps, each one SQL statement or several. A step that waits for a lock is noticed as such, and
the other sessions go on; it is over when it comes back. `every_schedule` takes every order that there is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

Step = str | tuple[str, ...]
ENDS = ("commit", "rollback")
STUCK_SECONDS = 20
WAITING = "select bool_and(pg_isolation_test_session_is_blocked(pid, $2)) from unnest($1::int[]) as pid"


def transaction(*verbs: str, end: str = "commit") -> list[Step]:
    """Each verb a step, and the end another: these are the points at which others come in between."""
    first, *others = verbs
    return [("begin", first), *others, end]


@dataclass
class Session:
    """One connection and what it is to do."""

    name: str
    connection: asyncpg.Connection[Any]
    steps: list[Step] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    running: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self.connection.get_server_pid()

    def begin(self, program: Sequence[Step]) -> None:
        self.steps, self.answers, self.running = list(program), [], None

    def start_next(self) -> None:
        step = self.steps.pop(0)
        self.running = asyncio.create_task(self._perform((step,) if isinstance(step, str) else step))

    def is_back(self) -> bool:
        """Tell whether its step is over; what went wrong beside the database's own errors is raised."""
        if self.running is not None and self.running.done():
            self.running.result()
            self.running = None
        return self.running is None

    async def give_up(self) -> None:
        """Leave nothing behind that the next to use the connection would feel."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait([self.running])
        if self.connection.is_in_transaction():
            await self.connection.execute("rollback")

    async def _perform(self, statements: Sequence[str]) -> None:
        for statement in statements:
            if self._has_failed() and statement not in ENDS:
                continue
            if statement in ("begin", *ENDS) or statement.startswith("set "):
                await self.connection.execute(statement)
                continue
            try:
                self.answers += [tuple(row) for row in await self.connection.fetch(statement)]
            except asyncpg.PostgresError as error:
                self.answers.append(f"{error.sqlstate} {error}")
                if not self.connection.is_in_transaction():
                    return

    def _has_failed(self) -> bool:
        return bool(self.answers) and isinstance(self.answers[-1], str)


@dataclass
class Choice:
    """One turn: who went on, and who could have instead."""

    taken: str
    others: list[str]


class Driver:
    """Lets sessions take turns; `watch` is a connection that sees who waits for whom."""

    def __init__(self, watch: asyncpg.Connection[Any]) -> None:
        self.watch = watch

    async def run(self, sessions: Sequence[Session], schedule: Sequence[str] = ()) -> list[Choice]:
        """Follow the schedule (names, a step each) as far as it goes, then take whoever is first; returns the turns."""
        turns: list[Choice] = []
        wanted = list(schedule)
        try:
            async with asyncio.timeout(STUCK_SECONDS):
                while any(session.steps or session.running for session in sessions):
                    able = {session.name: session for session in sessions if session.running is None and session.steps}
                    if not able:
                        await self.untie(sessions)
                        continue
                    # Who waits just then is passed over, as in a schedule for more sessions than there are.
                    while wanted and wanted[0] not in able:
                        wanted.pop(0)
                    name = wanted.pop(0) if wanted else next(iter(able))
                    turns.append(Choice(name, [other for other in able if other != name]))
                    able[name].start_next()
                    await self.settle(sessions)
        finally:
            await asyncio.gather(*(session.give_up() for session in sessions))
        return turns

    async def untie(self, sessions: Sequence[Session]) -> None:
        """Everybody waits for somebody: the server ends one of the waits, with 40P01."""
        await asyncio.wait([each.running for each in sessions if each.running], return_when=asyncio.FIRST_COMPLETED)
        await self.settle(sessions)

    async def settle(self, sessions: Sequence[Session]) -> None:
        """Wait until each step is over or waits for a lock that another of the sessions holds."""
        everybody = [self.watch.get_server_pid(), *(session.pid for session in sessions)]
        while under_way := [session for session in sessions if not session.is_back()]:
            tasks = [session.running for session in under_way if session.running]
            await asyncio.wait(tasks, timeout=0.0005, return_when=asyncio.FIRST_COMPLETED)
            pids = [session.pid for session in under_way if not session.is_back()]
            # Where one came back meanwhile, another may have been let go by it: look at all of them again.
            if len(pids) < len(under_way):
                continue
            waiting = await self.watch.fetchval(WAITING, pids, everybody)
            if waiting and not any(task.done() for task in tasks):
                return


async def every_schedule(run: Callable[[list[str]], Awaitable[list[Choice]]]) -> AsyncIterator[list[str]]:
    """Run every order of steps that the locks allow, each once.

    After each run those turns are remembered at which somebody else could have gone on; from there it is run again.
    """
    todo: list[list[str]] = [[]]
    while todo:
        prefix = todo.pop()
        turns = await run(prefix)
        taken = [turn.taken for turn in turns]
        for depth in range(len(prefix), len(turns)):
            todo += [[*taken[:depth], other] for other in turns[depth].others]
        yield taken


def is_serial(schedule: Sequence[str]) -> bool:
    """Tell whether each session did all its steps at once."""
    return sum(before != after for before, after in pairwise(schedule)) < len(set(schedule))
