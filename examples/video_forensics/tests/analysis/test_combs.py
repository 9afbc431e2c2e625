from __future__ import annotations

import numpy as np

from video_forensics.combs import strongest_comb


def test_planted_period_and_phase_are_found() -> None:
    values = np.random.default_rng(1).random(120)
    values[3::11] += 1
    comb = strongest_comb(values, 30)
    assert comb is not None
    assert (comb.period, comb.phase) == (11, 3)
    assert comb.p_value < 1e-6


def test_values_without_a_comb_stay_within_the_stated_error() -> None:
    # At 0.05, about 1.5 of 30 at most are expected; 6 or more has a chance of 0.3 %, and the seeds are fixed.
    combs = [strongest_comb(np.random.default_rng(seed).standard_cauchy(100), 25) for seed in range(30)]
    assert sum(comb is not None and comb.p_value < 0.05 for comb in combs) < 6


def test_lone_extremes_make_no_comb() -> None:
    values = np.random.default_rng(2).random(100)
    values[[17, 40]] = 1e6
    comb = strongest_comb(values, 25)
    assert comb is not None
    assert comb.p_value > 0.05


def test_frames_that_cannot_be_compared_are_left_out() -> None:
    assert strongest_comb(np.full(50, np.nan), 12) is None
