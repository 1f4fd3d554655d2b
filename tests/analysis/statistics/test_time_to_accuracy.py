"""Tests of the time to a target: infinite if not reached, and no trial is dropped."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.statistics.time_to_accuracy import (
    compare_times,
    median_interval,
    seconds_to_target,
    time_ratio,
    with_target_times,
)
from tests.support.sample_frames import make_trials

MAYBE = st.one_of(st.floats(0.1, 100), st.just(math.inf))


def epochs_of(trials: pd.DataFrame, reached_in: dict[str, int | None]) -> pd.DataFrame:
    """Four epochs of 2 s per trial; accuracy passes 0.8 in the named epoch of its norm."""
    rows: list[dict[str, Any]] = []
    for trial_id, norm in zip(trials["trial_id"], trials["norm"], strict=True):
        at = reached_in[norm]
        for e in range(4):
            accuracy = 0.85 if at is not None and e == at else 0.7
            rows.append(
                {"trial_id": trial_id, "epoch": e, "epoch_s": 2.0, "val_accuracy": accuracy}
            )
    return pd.DataFrame(rows)


def two_arms(blocks: int) -> pd.DataFrame:
    return make_trials({"norm": ["none", "bn_post"]}, blocks=blocks, seconds=lambda _row, _rng: 2.0)


def test_time_is_the_sum_of_epochs_up_to_the_target() -> None:
    trials = two_arms(3)
    epochs = epochs_of(trials, {"none": 2, "bn_post": None})
    times = seconds_to_target(epochs, 0.8).reindex(trials["trial_id"]).tolist()
    assert times == [6.0, math.inf] * 3
    assert seconds_to_target(epochs, 0.7).tolist() == [2.0] * 6


def test_target_that_is_never_reached_takes_infinite_time() -> None:
    trials = two_arms(6)
    times = with_target_times(trials, epochs_of(trials, {"none": 1, "bn_post": None}), 0.8)
    assert times.groupby("norm")["time_s"].unique().map(list).to_dict() == {
        "none": [4.0],
        "bn_post": [math.inf],
    }


def test_diverged_is_infinite_and_other_failures_are_inconclusive() -> None:
    trials = two_arms(6)
    epochs = epochs_of(trials, {"none": 1, "bn_post": 1})
    trials.loc[0, "status"], trials.loc[2, "status"] = "diverged", "out_of_memory"
    epochs = epochs[~epochs["trial_id"].isin(trials.loc[[0, 2], "trial_id"])]
    times = with_target_times(trials, epochs, 0.8)["time_s"]
    assert (times[0], math.isnan(times[2]), times[4]) == (math.inf, True, 4.0)
    result = compare_times(trials, epochs, 0.8, *trials["variant_id"].unique()[:2])
    assert (result.n, result.both, result.only_b) == (5, 4, 1)


def test_arms_of_two_parts_have_one_ratio_a_block() -> None:
    trials = two_arms(6)
    again = trials.assign(part=1, trial_id=trials["trial_id"] + "-part2")
    both = pd.concat([trials, again], ignore_index=True)
    epochs = epochs_of(both, {"none": 1, "bn_post": 3})
    result = compare_times(both, epochs, 0.8, *trials["variant_id"].unique()[::-1])
    assert (result.n, result.value) == (6, 2.0)


def test_trial_that_diverged_later_did_not_reach_the_target() -> None:
    trials = two_arms(6)
    trials["status"] = "diverged"
    times = with_target_times(trials, epochs_of(trials, {"none": 1, "bn_post": 1}), 0.8)
    assert set(times["time_s"]) == {math.inf}


def test_ratio_has_a_t_interval_if_both_arms_reach_the_target() -> None:
    result = time_ratio([2.0, 3.0, 2.5], [4.0, 5.0, 6.0])
    assert result.parametric is not None and result.parametric.n == 3
    assert result.value == pytest.approx(0.5)
    # Three blocks give no interval of order statistics.
    assert (result.low, result.coverage) == (None, None)


def test_arm_that_never_reaches_the_target_has_an_infinite_ratio() -> None:
    result = time_ratio([math.inf] * 5 + [9.0], [3.0] * 6)
    assert (result.value, result.low, result.high) == (math.inf, 3.0, math.inf)
    assert (result.only_b, result.both, result.parametric) == (5, 1, None)


def test_blocks_in_which_neither_arm_reaches_it_widen_both_ends() -> None:
    decided = time_ratio([1.0] * 6, [2.0] * 6)
    assert (decided.low, decided.high) == (0.5, 0.5)
    with_unreached = time_ratio([1.0] * 5 + [math.inf], [2.0] * 5 + [math.inf])
    assert (
        with_unreached.low,
        with_unreached.value,
        with_unreached.high,
        with_unreached.neither,
    ) == (0.0, 0.5, math.inf, 1)
    assert time_ratio([math.inf] * 6, [math.inf] * 6).value is None


def test_each_session_gives_one_value() -> None:
    result = time_ratio([1.0] * 8, [2.0] * 8, sessions=[0] * 4 + [1] * 4)
    assert (result.low, result.coverage, result.units, result.sessions) == (None, None, 2, 2)
    assert result.parametric is not None and result.parametric.n == 2
    ratios = [1.0, 2.0, 9.0, 4.0, 5.0, 6.0]
    six = time_ratio([r for r in ratios for _ in range(2)], [1.0] * 12, sorted([*range(6)] * 2))
    assert (six.value, six.low, six.high) == (4.5, 1.0, 9.0)


def test_interval_does_not_depend_on_whether_all_trials_reached_the_target() -> None:
    """All reach it: the ends are still the order statistics, the t interval is beside."""
    times = [3.0, 1.0, 2.0, 5.0, 4.0, 9.0]
    result = time_ratio(times, [1.0] * 6)
    assert (result.low, result.high) == (1.0, 9.0)
    assert result.coverage == pytest.approx(0.96875)
    assert result.parametric is not None and result.parametric.high != result.high


@given(st.lists(st.tuples(MAYBE, MAYBE), min_size=1, max_size=12))
def test_swapping_arms_inverts_the_ratio(times: list[tuple[float, float]]) -> None:
    a, b = zip(*times, strict=True)
    forward, back = time_ratio(a, b), time_ratio(b, a)
    assert (forward.only_a, forward.only_b) == (back.only_b, back.only_a)
    assert (forward.low is None) == (back.low is None)
    if forward.low is not None and back.high is not None:
        inverse = math.inf if forward.low == 0 else 1 / forward.low
        assert back.high == pytest.approx(inverse)


@given(st.lists(MAYBE, min_size=1, max_size=20))
def test_median_lies_in_its_interval(values: list[float]) -> None:
    result = median_interval(np.array(values))
    assert result.value == np.median(values)
    if result.low is not None and result.high is not None:
        assert result.low <= result.value <= result.high


@pytest.mark.parametrize("n", [3, 5, 6, 10, 25])
def test_interval_attains_its_stated_coverage(n: int) -> None:
    runs = 4000
    samples = np.random.default_rng(3).lognormal(0.0, 1.0, (runs, n))
    samples[samples > 2] = math.inf
    result = [median_interval(row) for row in samples]
    if n < 6:
        assert {f.low for f in result} == {None}
        return
    covered = sum((f.low or 0) <= 1.0 <= (f.high or 0) for f in result)
    coverage = result[0].coverage
    assert coverage is not None and coverage >= 0.95
    assert abs(covered - runs * coverage) < 4 * math.sqrt(runs * coverage * (1 - coverage))
    k = int(np.searchsorted(np.sort(samples[0]), result[0].low or 0)) + 1
    assert 2 * stats.binom.cdf(k, n, 0.5) > 0.05  # the next would be too narrow
