"""The checker notices defects of the queue's SQL, and names what they break."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio

from esteira.database import Database
from esteira.history import Effects, Ledger, Report, check
from esteira.history.invariants import INVARIANTS
from tests.sql.conftest import new_queue  # noqa: F401 - a fixture
from tests.system.history.scenes import OpenSession, Scene, Stage
from tests.system.history.sql_mutants import MUTANTS, Mutant, mutate


def _name(scene: Scene) -> str:
    return getattr(scene, "__name__", "")


EACH = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
SCENES = pytest.mark.parametrize("scene", sorted({mutant.scene for mutant in MUTANTS}, key=_name), ids=_name)


@pytest_asyncio.fixture
async def stage(recorded: Database, new_queue: OpenSession, ledger: Ledger) -> Stage:  # noqa: F811
    """The test's stage, whose ledger is empty so far."""
    return Stage(new_queue, await new_queue(), ledger)


async def judged(stage: Stage, recorded: Database) -> Report:
    return await check(
        recorded, ledger=stage.ledger.path, whole_ledger=False, effects=Effects("public.effect"), drained=True
    )


@EACH
async def test_the_checker_names_what_a_mutant_breaks(mutant: Mutant, stage: Stage, recorded: Database) -> None:
    connection = stage.people.connection
    if mutant.before:
        await connection.execute(mutant.before)
    for function, changes in mutant.changes.items():
        await mutate(connection, function, changes)
    await mutant.scene(stage)
    report = await judged(stage, recorded)
    found = {violation.invariant: violation.sentence for violation in report.violations}
    assert re.fullmatch(mutant.sentence, found.get(mutant.invariant, "")), str(report)


@SCENES
async def test_the_queue_as_it_is_plays_the_same_scenes_in_order(
    scene: Scene, stage: Stage, recorded: Database
) -> None:
    await scene(stage)
    report = await judged(stage, recorded)
    assert report.violation is None, str(report)


def test_each_invariant_has_a_mutant() -> None:
    with_workers = {"Liveness", "No phantom"}  # test_worker_mutants.py
    assert {mutant.invariant for mutant in MUTANTS} | with_workers == {invariant.name for invariant in INVARIANTS}
