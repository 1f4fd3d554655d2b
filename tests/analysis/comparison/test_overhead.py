"""Tests of cost by size: paired ratios, simultaneous intervals, and counts of unused blocks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.analysis.comparison.matched_pairs import count_blocks, match_pairs
from bench.analysis.comparison.overhead import additional_units, overhead, simultaneous_interval
from bench.analysis.statistics.intervals import (
    paired_ratio,
    ratio,
    smallest_detectable_ratio,
    units_needed,
)
from bench.analysis.statistics.turn_ratios import Windows
from tests.support.sample_frames import make_trials

SIZES = [55_000, 550_000, 5_500_000]
MATRIX: dict[str, Sequence[Any]] = {"norm": ["none", "bn_post"], "examples": SIZES}


def noisy(row: Mapping[str, Any], rng: np.random.Generator) -> float:
    cost = 1.5 if row["norm"] == "bn_post" else 1.0
    return float(cost * row["examples"] * 1e-5 * math.exp(rng.normal(0, 0.02)))


def test_each_size_has_a_paired_ratio() -> None:
    trials = make_trials(MATRIX, blocks=4, seconds=noisy)
    (curve,) = overhead(trials, "norm", "none", along="examples")
    assert [p.size for p in curve.points] == SIZES
    for point in curve.points:
        rows = trials[trials["examples"] == point.size]
        a, b = (rows.loc[rows["norm"] == n, "epoch_s"].tolist() for n in ("bn_post", "none"))
        expected = paired_ratio(a, b)
        assert point.ratio is not None
        assert point.ratio.value == pytest.approx(expected.value)
        assert (point.ratio.low, point.ratio.high) == pytest.approx((expected.low, expected.high))
        assert point.simultaneous_low < expected.low  # type: ignore[operator]
        assert point.simultaneous_high > expected.high  # type: ignore[operator]


def test_each_setting_has_a_curve_unless_it_follows_the_size() -> None:
    trials = make_trials({**MATRIX, "jit": ["none", "epoch"]}, blocks=2, seconds=noisy)
    trials["epochs"] = np.where(trials["examples"] > 100_000, 3, 9)
    curves = overhead(trials, "norm", "none", along="examples")
    assert [c.settings for c in curves] == [{"jit": "none"}, {"jit": "epoch"}]
    assert {len(c.points) for c in curves} == {3}


def test_each_session_gives_one_estimate() -> None:
    trials = make_trials(MATRIX, blocks=3, sessions=2, seconds=noisy)
    (curve,) = overhead(trials, "norm", "none", along="examples")
    first_ratio = curve.points[0].ratio
    assert first_ratio is not None
    assert (first_ratio.n, first_ratio.blocks, first_ratio.sessions) == (2, 6, 2)


def test_block_with_a_failed_trial_is_dropped_and_counted() -> None:
    trials = make_trials(MATRIX, blocks=4, seconds=noisy)
    trials.loc[0, "status"] = "out_of_memory"
    trials.loc[trials.index[-1], "steady"] = "unsettled"
    first, _, last = overhead(trials, "norm", "none", along="examples")[0].points
    assert (first.counts.planned, first.counts.used) == (4, 3)
    assert first.counts.statuses == {"out_of_memory": 1}
    assert (last.counts.used, last.counts.unsettled) == (4, 1)
    assert first.ratio is not None and first.ratio.blocks == 3


def test_arms_of_different_invocations_are_not_paired() -> None:
    trials = make_trials({"norm": ["none", "bn_post"]}, blocks=2, seconds=noisy)
    trials.loc[0, "invocation"] = 1
    counts = count_blocks(match_pairs(trials, "norm", "bn_post", "none"))
    assert (counts.planned, counts.used, counts.split) == (2, 1, 1)


def test_size_without_completed_trials_has_no_ratio() -> None:
    trials = make_trials(MATRIX, blocks=2, seconds=noisy)
    trials.loc[trials["examples"] == SIZES[2], "status"] = "out_of_memory"
    last = overhead(trials, "norm", "none", along="examples")[0].points[-1]
    assert (last.ratio, last.seconds, last.simultaneous_high) == (None, None, None)
    assert last.counts.statuses == {"out_of_memory": 4}
    assert additional_units(last, 0.02) is None


@pytest.mark.parametrize("blocks", [3, 5, 10])
def test_simultaneous_intervals_cover_95_percent(blocks: int) -> None:
    runs, sizes, true = 5000, 3, math.log(1.5)
    logs = np.random.default_rng(20260102).normal(true, 0.02, (runs, sizes, blocks))
    means, deviations = logs.mean(axis=2).tolist(), logs.std(axis=2, ddof=1).tolist()
    covered = 0
    for mean, deviation in zip(means, deviations, strict=True):
        ends = [
            simultaneous_interval(ratio(blocks, m, d, blocks, 1), d, sizes)
            for m, d in zip(mean, deviation, strict=True)
        ]
        covered += all((low or 0) <= 1.5 <= (high or 0) for low, high in ends)
    # For independent sizes, Bonferroni's intervals cover 0.9508.
    assert abs(covered / runs - 0.9508) < 4 * math.sqrt(0.95 * 0.05 / runs)


@pytest.mark.parametrize("deviation", [0.007, 0.014, 0.03])
@pytest.mark.parametrize("effect", [0.02, 0.03, 0.05, 0.10])
def test_units_needed_are_the_fewest_with_power_0_9(deviation: float, effect: float) -> None:
    total = units_needed(deviation, effect)
    assert total is not None

    def power(n: int) -> float:
        shift = math.log1p(effect) / deviation * math.sqrt(n)
        return float(stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, shift))

    assert power(total) >= 0.9
    assert total == 2 or power(total - 1) < 0.9


def test_additional_units_reach_the_power_and_are_not_negative() -> None:
    (curve,) = overhead(make_trials(MATRIX, blocks=7, seconds=noisy), "norm", "none", "examples")
    point = curve.points[0]
    assert point.deviation is not None
    missing = additional_units(point, 0.001)
    assert missing is not None and missing > 0
    assert (smallest_detectable_ratio(7 + missing, point.deviation) or 9) <= 1.001
    assert (smallest_detectable_ratio(6 + missing, point.deviation) or 9) > 1.001
    assert additional_units(point, 10.0) == 0
    few = overhead(make_trials(MATRIX, blocks=6, seconds=noisy), "norm", "none", "examples")
    assert additional_units(few[0].points[0], 0.001) is None  # 5 degrees of freedom
    assert units_needed(1e9, 0.01) is None


def test_trials_that_took_turns_have_the_ratio_of_their_rounds() -> None:
    trials = make_trials(MATRIX, blocks=2, seconds=noisy)
    is_arm = (trials["norm"] == "bn_post").to_numpy()
    rows = np.arange(len(trials))
    seconds = np.where(is_arm, 1.25, 1.0)
    turns = Windows(rows, np.zeros_like(rows), seconds, np.full(len(rows), 100.0))
    (curve,) = overhead(trials, "norm", "none", along="examples", turns=turns)
    ratios = [point.ratio.value for point in curve.points if point.ratio]
    assert ratios == pytest.approx([1.25] * len(SIZES))


def test_a_baseline_of_another_part_is_no_baseline() -> None:
    trials = make_trials({"norm": ["none", "bn_post"]}, blocks=1, seconds=noisy)
    baseline, arm = trials.to_dict("records")
    parts = [{**baseline, "epoch_s": 1.0}, {**baseline, "part": 1, "epoch_s": 10.0}]
    both = pd.DataFrame([*parts, {**arm, "part": 1, "epoch_s": 15.0}])
    pairs = match_pairs(both, "norm", "bn_post", "none")
    assert np.exp(pairs["log"]).tolist() == pytest.approx([1.5])


def test_arms_of_two_parts_have_one_row_a_block_of_the_first_part_that_can_be_used() -> None:
    trials = make_trials({"norm": ["none", "bn_post"]}, blocks=3, seconds=noisy)
    both = pd.concat([trials, trials.assign(part=1)], ignore_index=True)
    both.loc[both["block"].eq(1) & both["part"].eq(0), "status"] = "worker_lost"
    both.loc[both["block"].eq(2), "status"] = "worker_lost"
    pairs = match_pairs(both, "norm", "bn_post", "none").sort_values("block")
    assert pairs["block"].tolist() == [0, 1, 2]
    assert pairs["part"].tolist() == [0, 1, 0]
    counts = count_blocks(pairs)
    assert (counts.planned, counts.used, counts.statuses) == (3, 2, {"worker_lost": 2})
