"""Rounds in turns: each round of a scenario visits every system, so that a machine that drifts drifts for all."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bench.measured import OURS, Figure, Measured, collected
from bench.scale import Scale
from bench.scenario import Scenario, Step
from bench.servers import Servers
from bench.session import Session, session
from bench.system import MissingError, System


@dataclass
class Outcome:
    """What a run found: figures, and why some are missing."""

    measured: list[Measured] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    missing: list[dict[str, str]] = field(default_factory=list)

    def miss(self, system: str, scenario: str, why: str) -> None:
        """Note and say why there is no figure."""
        say(f"  {system}: {why}")
        self.missing.append({"system": system, "scenario": scenario, "why": why})


def say(text: str) -> None:
    """Tell whoever waits how far we are."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def turns(names: Sequence[str], rounds: int) -> Iterator[Sequence[str]]:
    """Yield the order of each round: everyone once, each round begun by another."""
    for number in range(rounds):
        start = number % max(1, len(names))
        yield [*names[start:], *names[:start]]


async def run(
    scenarios: Sequence[Scenario],
    systems: Mapping[str, System],
    scale: Scale,
    servers: Servers,
    keep: Callable[[Outcome], None],
) -> None:
    """Run the scenarios; keep what is known after each. What fails is left out of its scenario, the rest goes on."""
    outcome = Outcome()
    present = {}
    for name, system in systems.items():
        try:
            outcome.versions[system.name] = system.version()
            present[name] = system
        except MissingError as missing:
            outcome.miss(system.name, "all", str(missing))
    for scenario in scenarios:
        await _scenario(scenario, present, scale, servers, outcome)
        keep(outcome)


async def _scenario(
    scenario: Scenario, systems: Mapping[str, System], scale: Scale, servers: Servers, outcome: Outcome
) -> None:
    say(scenario.title)
    rounds: dict[str, list[list[Figure]]] = {}
    async with AsyncExitStack() as stack:
        sessions = await _sessions(scenario, systems, servers, outcome, stack)
        for order in turns(list(sessions), scale.rounds[scenario.rounds]):
            for name in order:
                if name not in sessions:
                    continue
                figures = await _tried(scenario.round, scenario, sessions[name], scale, outcome)
                if figures is None:
                    del sessions[name]
                else:
                    if scenario.rounds != "brief":
                        said = ", ".join(f"{one.name} {one.value:,.4g} {one.unit}".strip() for one in figures[:3])
                        say(f"  {systems[name].name}: {said}")
                    rounds.setdefault(systems[name].name, []).append(figures)
        for name, opened in sessions.items():
            if scenario.end and await _tried(scenario.end, scenario, opened, scale, outcome) is None:
                del rounds[systems[name].name]
    for system, figures_of_rounds in rounds.items():
        outcome.measured += collected(scenario.name, system, figures_of_rounds)


async def _sessions(
    scenario: Scenario, systems: Mapping[str, System], servers: Servers, outcome: Outcome, stack: AsyncExitStack
) -> dict[str, Session]:
    opened = {}
    for name, system in systems.items():
        if scenario.alone and system.name != OURS:
            continue
        if (why := system.cannot.get(scenario.name)) is not None:
            outcome.miss(system.name, scenario.name, why)
            continue
        try:
            opened[name] = await stack.enter_async_context(session(system, servers))
        except Exception as error:  # noqa: BLE001  (a peer's failure, whatever it is, must not end the run)
            outcome.miss(system.name, scenario.name, _why(error))
    return opened


async def _tried(
    step: Step, scenario: Scenario, opened: Session, scale: Scale, outcome: Outcome
) -> list[Figure] | None:
    """Return the figures of a round; None where it failed, of which the outcome tells."""
    try:
        return await step(opened, scale)
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise
    except MissingError as missing:
        outcome.miss(opened.system.name, scenario.name, str(missing))
        return None
    except Exception as error:  # noqa: BLE001
        outcome.miss(opened.system.name, scenario.name, f"{_why(error)} {opened.last_words()[-300:]}".strip())
        return None


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
