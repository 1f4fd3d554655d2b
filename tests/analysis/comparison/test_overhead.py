"""Curves of a cost by size: paired, with ends that hold together, and nothing lost in silence."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.analysis.comparison.matched_pairs import count_blocks, match_pairs
from bench.analysis.comparison.overhead import further_units, overhead, simultaneous
from bench.analysis.statistics.paired import (
    paired_ratio,
    ratio,
    smallest_detectable_ratio,
    units_needed,
)
from tests.support.sample_frames import made_trials

SIZES = [55_000, 550_000, 5_500_000]
MATRIX: dict[str, Sequence[Any]] = {"norm": ["none", "bn_post"], "examples": SIZES}


def noisy(row: Mapping[str, Any], rng: np.random.Generator) -> float:
    cost = 1.5 if row["norm"] == "bn_post" else 1.0
    return float(cost * row["examples"] * 1e-5 * math.exp(rng.normal(0, 0.02)))


def test_each_size_has_the_paired_ratio_of_its_blocks() -> None:
    trials = made_trials(MATRIX, blocks=4, seconds=noisy)
    (curve,) = overhead(trials, "norm", "none", along="examples")
    assert [p.size for p in curve.points] == SIZES
    for point in curve.points:
        at = trials[trials["examples"] == point.size]
        a, b = (at.loc[at["norm"] == n, "epoch_s"].tolist() for n in ("bn_post", "none"))
        expected = paired_ratio(a, b)
        assert point.ratio is not None
        assert point.ratio.value == pytest.approx(expected.value)
        assert (point.ratio.low, point.ratio.high) == pytest.approx((expected.low, expected.high))
        assert point.simultaneous_low < expected.low  # type: ignore[operator]
        assert point.simultaneous_high > expected.high  # type: ignore[operator]


def test_other_settings_give_a_curve_each_and_followers_of_the_size_do_not() -> None:
    trials = made_trials({**MATRIX, "jit": ["none", "epoch"]}, blocks=2, seconds=noisy)
    trials["epochs"] = np.where(trials["examples"] > 100_000, 3, 9)
    curves = overhead(trials, "norm", "none", along="examples")
    assert [c.settings for c in curves] == [{"jit": "none"}, {"jit": "epoch"}]
    assert {len(c.points) for c in curves} == {3}


def test_sessions_give_one_estimate_each() -> None:
    trials = made_trials(MATRIX, blocks=3, sessions=2, seconds=noisy)
    (curve,) = overhead(trials, "norm", "none", along="examples")
    found = curve.points[0].ratio
    assert found is not None
    assert (found.n, found.blocks, found.sessions) == (2, 6, 2)


def test_a_block_of_which_a_trial_failed_is_dropped_whole_and_counted() -> None:
    trials = made_trials(MATRIX, blocks=4, seconds=noisy)
    trials.loc[0, "status"] = "out_of_memory"
    trials.loc[trials.index[-1], "steady"] = "unsettled"
    first, _, last = overhead(trials, "norm", "none", along="examples")[0].points
    assert (first.counts.planned, first.counts.used) == (4, 3)
    assert first.counts.statuses == {"out_of_memory": 1}
    assert (last.counts.used, last.counts.unsettled) == (3, 1)
    assert first.ratio is not None and first.ratio.blocks == 3


def test_arms_of_different_sessions_are_no_pair() -> None:
    trials = made_trials({"norm": ["none", "bn_post"]}, blocks=2, seconds=noisy)
    trials.loc[0, "invocation"] = 1
    counts = count_blocks(match_pairs(trials, "norm", "bn_post", "none"))
    assert (counts.planned, counts.used, counts.split) == (2, 1, 1)


def test_a_size_that_nothing_completed_has_no_ratio() -> None:
    trials = made_trials(MATRIX, blocks=2, seconds=noisy)
    trials.loc[trials["examples"] == SIZES[2], "status"] = "out_of_memory"
    last = overhead(trials, "norm", "none", along="examples")[0].points[-1]
    assert (last.ratio, last.seconds, last.simultaneous_high) == (None, None, None)
    assert last.counts.statuses == {"out_of_memory": 4}
    assert further_units(last, 0.02) is None


@pytest.mark.parametrize("blocks", [3, 5, 10])
def test_all_sizes_are_covered_at_once_in_95_percent(blocks: int) -> None:
    runs, sizes, true = 5000, 3, math.log(1.5)
    logs = np.random.default_rng(20260102).normal(true, 0.02, (runs, sizes, blocks))
    means, deviations = logs.mean(axis=2).tolist(), logs.std(axis=2, ddof=1).tolist()
    covered = 0
    for mean, deviation in zip(means, deviations, strict=True):
        ends = [
            simultaneous(ratio(blocks, m, d, blocks, 1), d, sizes)
            for m, d in zip(mean, deviation, strict=True)
        ]
        covered += all((low or 0) <= 1.5 <= (high or 0) for low, high in ends)
    # Bonferroni's ends cover 0.9508 where sizes are independent of each other.
    assert abs(covered / runs - 0.9508) < 4 * math.sqrt(0.95 * 0.05 / runs)


@pytest.mark.parametrize("deviation", [0.007, 0.014, 0.03])
@pytest.mark.parametrize("effect", [0.02, 0.03, 0.05, 0.10])
def test_blocks_needed_are_the_fewest_with_power_nine_tenths(
    deviation: float, effect: float
) -> None:
    needed = units_needed(deviation, effect)
    assert needed is not None

    def power(n: int) -> float:
        shift = math.log1p(effect) / deviation * math.sqrt(n)
        return float(stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, shift))

    assert power(needed) >= 0.9
    assert needed == 2 or power(needed - 1) < 0.9


def test_further_blocks_are_what_is_missing_and_never_negative() -> None:
    (curve,) = overhead(made_trials(MATRIX, blocks=4, seconds=noisy), "norm", "none", "examples")
    point = curve.points[0]
    assert point.deviation is not None
    few = further_units(point, 0.001)
    assert few is not None and few > 0
    assert (smallest_detectable_ratio(4 + few, point.deviation) or 9) <= 1.001
    assert (smallest_detectable_ratio(3 + few, point.deviation) or 9) > 1.001
    assert further_units(point, 10.0) == 0
    assert units_needed(1e9, 0.01) is None
