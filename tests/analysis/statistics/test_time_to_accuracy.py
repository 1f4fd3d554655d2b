"""Times to a target: not reached is infinite, and no trial is dropped for being slow."""

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
    seconds_to,
    time_ratio,
    times_to_accuracy,
)
from tests.support.sample_frames import made_trials

MAYBE = st.one_of(st.floats(0.1, 100), st.just(math.inf))


def epochs_of(trials: pd.DataFrame, reached_in: dict[str, int | None]) -> pd.DataFrame:
    """Four epochs of 2 s each trial; accuracy passes 0.8 in the named epoch of its norm."""
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
    return made_trials({"norm": ["none", "bn_post"]}, blocks=blocks, seconds=lambda _row, _rng: 2.0)


def test_time_is_that_of_all_epochs_up_to_the_first_that_reaches_the_target() -> None:
    trials = two_arms(3)
    epochs = epochs_of(trials, {"none": 2, "bn_post": None})
    times = seconds_to(epochs, 0.8).reindex(trials["trial_id"]).tolist()
    assert times == [6.0, math.inf] * 3
    assert seconds_to(epochs, 0.7).tolist() == [2.0] * 6


def test_variants_that_never_reach_it_are_infinite_and_shown() -> None:
    trials = two_arms(6)
    without, with_bn = times_to_accuracy(
        trials, epochs_of(trials, {"none": 1, "bn_post": None}), 0.8
    )
    assert (without.seconds.value, without.seconds.reached) == (4.0, 6)
    assert (with_bn.seconds.value, with_bn.seconds.low, with_bn.seconds.reached) == (
        math.inf,
        math.inf,
        0,
    )


def test_diverged_is_not_reached_and_other_failures_are_counted_only() -> None:
    trials = two_arms(6)
    epochs = epochs_of(trials, {"none": 1, "bn_post": 1})
    trials.loc[0, "status"], trials.loc[2, "status"] = "diverged", "out_of_memory"
    epochs = epochs[~epochs["trial_id"].isin(trials.loc[[0, 2], "trial_id"])]
    none, _ = times_to_accuracy(trials, epochs, 0.8)
    assert (none.seconds.n, none.seconds.reached) == (5, 4)
    assert none.statuses == {"completed": 4, "diverged": 1, "out_of_memory": 1}
    found = compare_times(trials, epochs, 0.8, *trials["variant_id"].unique()[:2])
    assert (found.n, found.both, found.only_b) == (5, 4, 1)


def test_a_trial_that_reached_it_and_then_diverged_did_not_reach_it() -> None:
    trials = two_arms(6)
    trials["status"] = "diverged"
    none, _ = times_to_accuracy(trials, epochs_of(trials, {"none": 1, "bn_post": 1}), 0.8)
    assert (none.seconds.value, none.seconds.reached) == (math.inf, 0)


def test_both_in_every_block_has_a_t_interval_too() -> None:
    found = time_ratio([2.0, 3.0, 2.5], [4.0, 5.0, 6.0])
    assert found.parametric is not None and found.parametric.n == 3
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.coverage) == (None, None)  # three blocks have no such interval


def test_one_that_never_reaches_it_is_a_ratio_beyond_all_others() -> None:
    found = time_ratio([math.inf] * 5 + [9.0], [3.0] * 6)
    assert (found.value, found.low, found.high) == (math.inf, 3.0, math.inf)
    assert (found.only_b, found.both, found.parametric) == (5, 1, None)


def test_blocks_in_which_neither_does_widen_both_ends() -> None:
    known = time_ratio([1.0] * 6, [2.0] * 6)
    assert (known.low, known.high) == (0.5, 0.5)
    unknown = time_ratio([1.0] * 5 + [math.inf], [2.0] * 5 + [math.inf])
    assert (unknown.low, unknown.value, unknown.high, unknown.neither) == (0.0, 0.5, math.inf, 1)
    assert time_ratio([math.inf] * 6, [math.inf] * 6).value is None


def test_blocks_of_several_sessions_have_no_interval_as_if_independent() -> None:
    found = time_ratio([1.0] * 8, [2.0] * 8, sessions=[0] * 4 + [1] * 4)
    assert (found.low, found.coverage) == (None, None)
    assert found.parametric is not None and found.parametric.n == 2


@given(st.lists(st.tuples(MAYBE, MAYBE), min_size=1, max_size=12))
def test_exchanging_the_arms_inverts_the_ratio(times: list[tuple[float, float]]) -> None:
    a, b = zip(*times, strict=True)
    there, back = time_ratio(a, b), time_ratio(b, a)
    assert (there.only_a, there.only_b) == (back.only_b, back.only_a)
    assert (there.low is None) == (back.low is None)
    if there.low is not None and back.high is not None:
        inverse = math.inf if there.low == 0 else 1 / there.low
        assert back.high == pytest.approx(inverse)


@given(st.lists(MAYBE, min_size=1, max_size=20))
def test_the_median_lies_in_its_interval(values: list[float]) -> None:
    found = median_interval(np.array(values))
    assert found.value == np.median(values)
    if found.low is not None and found.high is not None:
        assert found.low <= found.value <= found.high


@pytest.mark.parametrize("n", [3, 5, 6, 10, 25])
def test_order_statistics_attain_what_they_say(n: int) -> None:
    runs = 4000
    samples = np.random.default_rng(3).lognormal(0.0, 1.0, (runs, n))
    samples[samples > 2] = math.inf
    found = [median_interval(row) for row in samples]
    if n < 6:
        assert {f.low for f in found} == {None}
        return
    covered = sum((f.low or 0) <= 1.0 <= (f.high or 0) for f in found)
    coverage = found[0].coverage
    assert coverage is not None and coverage >= 0.95
    assert abs(covered - runs * coverage) < 4 * math.sqrt(runs * coverage * (1 - coverage))
    k = int(np.searchsorted(np.sort(samples[0]), found[0].low or 0)) + 1
    assert 2 * stats.binom.cdf(k, n, 0.5) > 0.05  # the next would be too narrow
