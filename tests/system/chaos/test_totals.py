from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.system.chaos.totals import Totals, added, percentile


def run(name: str, **figures: object) -> Totals:
    return Totals(lease=6, runs=[name], **figures)


def test_runs_are_kept_and_added_up(tmp_path: Path) -> None:
    run("one", acknowledged=3, faults=Counter(kill=2), recovery={"engines killed": [0.1]}).write(tmp_path)
    run("two", acknowledged=4, lost=1, faults=Counter(kill=1, stop=1), recovery={"engines killed": [0.3]}).write(
        tmp_path
    )
    total = added(map(Totals.read, sorted(tmp_path.iterdir())))
    assert (total.acknowledged, total.lost, total.faults) == (7, 1, {"kill": 3, "stop": 1})
    assert total.recovery == {"engines killed": [0.1, 0.3]}
    assert "| acknowledged jobs lost | 0 | 1 | 7 jobs |" in total.table()
    assert "| engines killed → claimable | p99 ≤ 2 s | p50 0.10 s, p99 0.30 s | 2 times |" in total.table()


def test_runs_with_different_leases_are_not_added_up() -> None:
    with pytest.raises(ValueError, match="lease of 2 ticks"):
        added([run("one"), Totals(lease=2, runs=["two"])])


@pytest.mark.parametrize(("share", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_a_percentile_is_one_of_the_values(share: int, value: int) -> None:
    assert percentile(range(100, 0, -1), share) == value
