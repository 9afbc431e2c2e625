"""A database in which verbs stop where they are told to, and what is true whatever the order of things.

Whatever several sessions do at once must come out as if they had done it one after another, in some order, answers
included.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import chain, combinations, permutations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from tests.sql.concurrency.driver import Driver, Session, every_schedule, is_serial, transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import asyncpg

    from tests.sql.concurrency.driver import Choice, Step

    Programs = Mapping[str, Sequence[Step]]

WORLD = (Path(__file__).parent / "world.sql").read_text()
# The clock decides nothing here: who waits, waits until the schedule lets the other go on.
LOCK_TIMEOUT = (r"SET lock_timeout TO '\w+'", "SET lock_timeout TO '1min'")
PLPGSQL = """
select proname, pg_get_functiondef(pg_proc.oid) as source
from pg_proc join pg_language on pg_language.oid = prolang
where pronamespace = 'esteira'::regnamespace and lanname = 'plpgsql' and provolatile = 'v'"""
NAME = "set application_name = '{}'; set test.stop_at = '{}'; set test.passed = 0"
LEFT = """
select outcome::text, array(select sentence from test.broken) as broken,
       array(select job from test.given order by place) as jobs,
       array(select array[id::text, metadata ->> 'by'] from esteira.job) as made
from test.outcome"""
SOURCE = """
select pg_get_functiondef(oid) from pg_proc where pronamespace = 'esteira'::regnamespace and proname = $1"""
MOST_PLACES = 1000
GATE = ("select pg_advisory_unlock(1)", "select pg_advisory_lock(1)")
HOLD_IT = "select true from esteira.job where id = test.job({}) for update"
# What the fence says to a worker that has lost the job, whatever happens around them.
REFUSED = {"late_complete": "[]", "late_step": "[['False']]"}
KNOWN = {"00000000-0000-4000-8000-000000000001": "<worker>", "00000000-0000-4000-8000-000000000002": "<other>"}
# Every place where a verb can stop, every order of more than two: minutes instead of seconds.
THOROUGH = bool(os.environ.get("ESTEIRA_TEST_THOROUGH"))
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Outcome:
    """What the sessions were told, and what is left."""

    answers: tuple[tuple[str, str], ...]
    left: str

    def without(self, names: Sequence[str]) -> Outcome:
        return Outcome(tuple(answer for answer in self.answers if answer[0] not in names), self.left)

    def __str__(self) -> str:
        return "\n".join([*(f"    {name}: {answer}" for name, answer in self.answers), f"    left: {self.left}"])


@dataclass
class World:
    """The sessions of one database, the states that it can be put into, and every way through them."""

    watch: asyncpg.Connection[Any]
    gate: asyncpg.Connection[Any]
    sessions: list[asyncpg.Connection[Any]]
    runs: int = 0
    alone: dict[tuple[str, ...], Outcome] = field(default_factory=dict)

    async def build(self) -> None:
        """Make verbs stop between any two statements, where a session has set test.stop_at."""
        await self.watch.execute(WORLD)
        for row in await self.watch.fetch(PLPGSQL):
            await self.watch.execute(re.sub(*LOCK_TIMEOUT, with_stops(row["proname"], row["source"])))
        await self.watch.execute("select esteira.maintain_partitions(1)")
        await self.gate.execute("select pg_advisory_lock(1)")

    async def rewrite(self, function: str, what: str, instead: str) -> None:
        """Put something else into a function."""
        source = await self.watch.fetchval(SOURCE, function)
        assert what in source, f"{what!r} is not in {function}"
        await self.watch.execute(source.replace(what, instead))

    async def run(
        self,
        states: Sequence[str],
        programs: Programs,
        schedule: Sequence[str] = (),
        stops: Mapping[str, int] | None = None,
    ) -> tuple[list[Choice], Outcome]:
        """Put the world into these states, a job each, and let the programs take turns.

        stops: programs, and between which of their statements they stop until the gate takes its turn.
        """
        self.runs += 1
        await self.watch.fetchval("select test.arrange($1)", list(states))
        sessions = [Session(name, connection) for name, connection in zip(programs, self.sessions, strict=False)]
        for session in sessions:
            session.begin(programs[session.name])
            await session.connection.execute(NAME.format(session.name, (stops or {}).get(session.name, "")))
        gate = [Session("gate", self.gate, list(GATE))] if stops else []
        turns = await Driver(self.watch).run([*sessions, *gate], schedule)
        return turns, await self._outcome(sessions)

    async def explore_all(
        self, states: Sequence[str], programs: Programs, lazy: Mapping[str, str], *, all_of_it: bool = True
    ) -> None:
        """All of the following; otherwise every second group of programs, and of a third of those the rest, too.

        Which ones, hangs on the version of the server: what one leaves out is tried on another.
        """
        lot = crc32(repr([*states, *programs]).encode()) + self.watch.get_server_version().major
        if lot % 2 and not all_of_it:
            return
        allowed = await self.explore(states, programs, lazy)
        check_refusals(allowed)
        if all_of_it or lot % 3 == 0:
            await self.explore_queueing(states, programs, allowed)
            if len(programs) == 2:
                await self.explore_undone(states, programs, lazy)
            every = 1 if all_of_it else 4
            await self.explore_inside(states, programs, allowed, range(1 + lot % every, MOST_PLACES, every))

    async def explore(
        self, states: Sequence[str], programs: Programs, lazy: Mapping[str, str] | None = None
    ) -> set[Outcome]:
        """Take every schedule; each must come out as if one had followed the other. Returns what may come out.

        lazy: programs that take only what nobody else has locked, with what they answer when they find nothing.
        """
        runs: list[tuple[list[str], Outcome]] = []
        undone = undone_by(programs)

        async def run(schedule: Sequence[str]) -> list[Choice]:
            turns, outcome = await self.run(states, programs, schedule)
            runs.append(([turn.taken for turn in turns], outcome.without(undone)))
            return turns

        async for _ in every_schedule(run):
            pass
        allowed = {outcome for schedule, outcome in runs if is_serial(schedule)}
        allowed |= await self._when_lazy(states, programs, lazy or {})
        for schedule, outcome in runs:
            check(states, programs, schedule, outcome, allowed)
        return allowed

    async def explore_inside(
        self, states: Sequence[str], programs: Programs, allowed: set[Outcome], places: Iterable[int] = ()
    ) -> None:
        """Stop each program between its statements, one after the other, while the others run as far as they can."""
        undone = undone_by(programs)
        for name, connection in zip(programs, self.sessions, strict=False):
            schedule = [name, *(other for other in programs if other != name for _ in programs[other]), "gate"]
            for place in places or range(1, MOST_PLACES):
                _, outcome = await self.run(states, programs, schedule, {name: place})
                check(states, programs, [f"{name} at {place}", *schedule[1:]], outcome.without(undone), allowed)
                if int(await connection.fetchval("show test.passed")) < place:
                    break

    async def explore_queueing(self, states: Sequence[str], programs: Programs, allowed: set[Outcome]) -> None:
        """Let all of them look at a job while somebody else holds it: what they saw is old once they have it.

        Where there are several jobs, each of them is held in its turn.
        """
        undone = (*undone_by(programs), "holder")
        for place, order in product(range(1, len(states) + 1), permutations(programs)):
            schedule = ["holder", *order, "holder"]
            holder = transaction(HOLD_IT.format(place))
            _, outcome = await self.run(states, {**programs, "holder": holder}, schedule)
            check(states, programs, schedule, outcome.without(undone), allowed)

    async def explore_undone(self, states: Sequence[str], programs: Programs, lazy: Mapping[str, str]) -> None:
        """Let one of two roll back while the other waits for it, or not: the other finds what was before."""
        for name, other in permutations(programs):
            undone = {name: [*programs[name][:-1], "rollback"]}
            key = (*states, other)
            if key not in self.alone:
                _, self.alone[key] = await self.run(states, {other: programs[other]})
            allowed = {self.alone[key]}
            if other in lazy:
                _, nothing = await self.run(states, undone)
                allowed.add(Outcome(((other, lazy[other]),), nothing.left))
            schedule = [*(name for _ in undone[name][1:]), other, name]
            _, outcome = await self.run(states, {**undone, other: programs[other]}, schedule)
            check(states, [name, other], schedule, outcome.without([name]), allowed)

    async def _when_lazy(self, states: Sequence[str], programs: Programs, lazy: Mapping[str, str]) -> set[Outcome]:
        """Return what comes out where some of the lazy ones find nothing, because others have all of it locked."""
        allowed = set()
        names = [name for name in programs if name in lazy]
        for idle in chain.from_iterable(combinations(names, count) for count in range(1, len(names) + 1)):
            busy = {name: program for name, program in programs.items() if name not in idle}
            for order in permutations(busy):
                _, outcome = await self.run(states, busy, [name for name in order for _ in busy[name]])
                answers = {**dict(outcome.answers), **{name: lazy[name] for name in idle}}
                told = tuple((name, answers[name]) for name in programs)
                allowed.add(Outcome(told, outcome.left).without(undone_by(programs)))
        return allowed

    async def _outcome(self, sessions: Sequence[Session]) -> Outcome:
        row = await self.watch.fetchrow(LEFT)
        assert row is not None
        names = {job: f"<of {by}>" for job, by in row["made"]}
        names |= {str(job): f"<job {place}>" for place, job in enumerate(row["jobs"], 1)}

        def named(text: str) -> str:
            return UUID.sub(lambda found: names.get(found[0], KNOWN.get(found[0], "<gone>")), text)

        outcome = Outcome(
            tuple((session.name, named(_plain(session.answers))) for session in sessions), named(row["outcome"])
        )
        assert not row["broken"], f"{row['broken']}\n{outcome}"
        return outcome


def check_refusals(outcomes: Iterable[Outcome]) -> None:
    """See that those who must always be refused were."""
    for outcome in outcomes:
        for name, answer in outcome.answers:
            assert answer == REFUSED.get(name, answer), str(outcome)


def undone_by(programs: Programs) -> tuple[str, ...]:
    """Name the programs that roll back: whatever they were told, it never was."""
    return tuple(name for name, program in programs.items() if program[-1] == "rollback")


def check(
    states: Sequence[str], programs: Iterable[str], schedule: Sequence[str], outcome: Outcome, allowed: set[Outcome]
) -> None:
    """See that it came out as in one of the orders."""
    if outcome not in allowed:
        raise AssertionError(
            f"{', '.join(states)}, {' | '.join(schedule)}: no order of {list(programs)} comes out as\n"
            f"{outcome}\nbut only as\n" + "\nor\n".join(map(str, allowed))
        )


def _plain(answers: Sequence[Any]) -> str:
    return str([answer if isinstance(answer, str) else [str(value) for value in answer] for answer in answers])


NEVER_BEFORE = ("end", "elsif", "else", "exception", "when ", "get diagnostics")


def with_stops(name: str, source: str) -> str:
    """Put a place to stop between any two statements of a plpgsql function."""
    lines: list[str] = []
    begun = between = False
    for number, line in enumerate(source.splitlines()):
        text = line.strip()
        if begun and between and text and not text.startswith((*NEVER_BEFORE, "--")):
            lines.append(f"assert test.stop('{name}:{number}');")
        lines.append(line)
        if text == "begin":
            begun = between = True
        elif text and not text.startswith("--"):
            between = text.endswith(";")
    return "\n".join(lines)
