"""Tests of comparisons within blocks, over whole simulated runs with a known ratio."""

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.comparison.compare import Comparison, compare
from bench.analysis.loading.trial_filters import is_unsteady
from bench.spec.pairing import Pair
from tests.support.simulated_runs import Floats, autoregressive, two_arm_runs

TRUE = 1.5


def with_ratio(logs: Floats) -> Floats:
    """Return epoch times whose first arm takes ``TRUE`` times as long."""
    times: Floats = np.exp(logs + np.array([math.log(TRUE), 0.0])[:, None])
    return times


def compared(trials: pd.DataFrame, pairs: list[Pair], blocks: int) -> list[Comparison]:
    return compare(trials, [{}], pairs, blocks)


def half_widths(comparisons: list[Comparison]) -> Floats:
    ratios = [c.ratio for c in comparisons if c.ratio is not None]
    logs = [math.log(r.high / r.low) / 2 for r in ratios if r.low is not None and r.high]
    return np.array(logs)


def coverage(comparisons: list[Comparison]) -> float:
    ratios = [c.ratio for c in comparisons if c.ratio is not None]
    covered = [r.low <= TRUE <= r.high for r in ratios if r.low is not None and r.high]
    return sum(covered) / len(covered)


def test_intervals_of_all_trials_are_narrower_than_those_of_settled_ones_and_cover() -> None:
    """AR(1) epochs, correlation 0.56: the rule calls 3 of 10 stationary trials unsettled."""
    runs, blocks = 400, 5
    rng = np.random.default_rng(20260105)
    logs = 0.1 * autoregressive(rng, (runs, blocks, 2, 20), correlation=0.56)
    logs += rng.normal(0, 0.02, (runs, blocks, 2, 1))
    trials, pairs = two_arm_runs(with_ratio(logs))
    marked = is_unsteady(trials)
    assert 0.25 < marked.mean() < 0.4
    every, settled = compared(trials, pairs, blocks), compared(trials[~marked], pairs, blocks)
    assert len(half_widths(every)) == runs
    assert len(half_widths(settled)) < 0.6 * runs
    assert np.mean(half_widths(every)) < 0.75 * np.mean(half_widths(settled))
    assert abs(coverage(every) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs)
    assert sum(c.unsettled_blocks for c in every) > 0.4 * runs * blocks
    assert all(c.dropped_blocks == 0 for c in every)


def test_interval_within_sessions_covers_their_mean_and_not_the_truth_between_them() -> None:
    runs, sessions, blocks = 400, 4, 12
    rng = np.random.default_rng(20260106)
    session = np.repeat(rng.normal(0, 0.05, (runs, sessions)), blocks // sessions, axis=1)
    noise = rng.normal(0, 0.01, (runs, blocks, 2, 3))
    noise[:, :, 0] += session[:, :, None]
    trials, pairs = two_arm_runs(with_ratio(noise), sessions)
    comparisons = compared(trials, pairs, blocks)
    within = [c.within_sessions for c in comparisons if c.within_sessions is not None]
    assert len(within) == runs
    here = TRUE * np.exp(session.mean(axis=1))

    def covered(values: Floats) -> float:
        ends = zip(values, within, strict=True)
        return float(np.mean([(w.low or 0) <= v <= (w.high or 0) for v, w in ends]))

    assert abs(covered(here) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs)
    assert covered(np.full(runs, TRUE)) < 0.5
    assert abs(coverage(comparisons) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs)
    ratios = [c.ratio.value for c in comparisons if c.ratio is not None]
    assert [w.value for w in within] == pytest.approx(ratios)


@pytest.mark.parametrize(("blocks", "has_interval"), [(1, False), (2, False), (3, True)])
def test_blocks_keep_their_ratios_and_have_an_interval_from_three_on(
    blocks: int, has_interval: bool
) -> None:
    times = with_ratio(np.random.default_rng(1).normal(0, 0.05, (1, blocks, 2, 3)))
    (comparison,) = compared(*two_arm_runs(times), blocks)
    assert comparison.ratio is not None
    assert (comparison.ratio.low is not None) == has_interval
    medians = np.median(times[0, :, :, 1:], axis=-1)
    assert [b.ratio for b in comparison.block_ratios] == pytest.approx(
        medians[:, 0] / medians[:, 1]
    )
    assert [(b.block, b.session) for b in comparison.block_ratios] == [
        (block, 0) for block in range(blocks)
    ]
    assert comparison.within_sessions is None


def test_resumed_block_is_in_no_ratio() -> None:
    trials, pairs = two_arm_runs(with_ratio(np.zeros((1, 4, 2, 3))))
    trials.loc[2, "invocation"] = 1
    (comparison,) = compared(trials, pairs, 4)
    assert (comparison.split_blocks, comparison.dropped_blocks) == (1, 0)
    assert [b.block for b in comparison.block_ratios] == [0, 2, 3]
