from __future__ import annotations

import pytest

from bench.measured import Figure, Measured, as_json, collected, percentile, ratio


def measured(system: str, *rounds: float, better: str = "more") -> Measured:
    return Measured("drain", "one process", "jobs/s", better, system, list(rounds))  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "expected"), [(0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1, 100)])
def test_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7


def test_percentile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_ratio_compares_rounds_that_ran_side_by_side() -> None:
    # The machine was half as fast in the second round and a fifth in the third: each pair still says 2.
    assert ratio(measured("esteira", 200, 100, 40), measured("peer", 100, 50, 20)) == 2
    # The ratio of the medians would be 1 here.
    assert ratio(measured("esteira", 100, 400, 200), measured("peer", 200, 100, 400)) == 0.5


def test_ratio_above_one_is_better_for_latencies_too() -> None:
    assert ratio(measured("esteira", 2, better="less"), measured("peer", 6, better="less")) == 3


def test_ratio_stops_where_one_of_them_failed() -> None:
    assert ratio(measured("esteira", 100, 200, 900), measured("peer", 100, 100)) == 1.5


def test_ratio_to_zero_is_none() -> None:
    assert ratio(measured("esteira", 1), measured("peer", 0)) is None


def test_rounds_of_a_figure_are_gathered_in_their_order() -> None:
    rounds = [[Figure("p50", 2, "ms", "less"), Figure("p99", 9, "ms", "less")], [Figure("p50", 4, "ms", "less")]]
    p50, p99 = collected("pickup", "peer", rounds)
    assert (p50.rounds, p50.median, p99.rounds) == ([2, 4], 3, [9])


def test_only_peers_have_a_ratio_and_only_where_ours_was_measured() -> None:
    ours, theirs = measured("esteira", 300), measured("peer", 100)
    alone = Measured("pickup", "p50", "ms", "less", "peer", [1])
    assert [one["esteira_is_better_by"] for one in as_json([ours, theirs, alone])] == [None, 3, None]
