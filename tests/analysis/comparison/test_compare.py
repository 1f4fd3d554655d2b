"""Tests of comparisons within blocks, over whole simulated runs with a known ratio."""

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.comparison.compare import Comparison, compare
from bench.spec.pairing import Pair
from tests.support.marked_runs import intervals
from tests.support.simulated_runs import Floats, autoregressive, two_arm_runs

TRUE = 1.5


def with_ratio(logs: Floats) -> Floats:
    """Return epoch times whose first arm takes ``TRUE`` times as long."""
    times: Floats = np.exp(logs + np.array([math.log(TRUE), 0.0])[:, None])
    return times


def compared(trials: pd.DataFrame, pairs: list[Pair], blocks: int) -> list[Comparison]:
    return compare(trials, [{}], pairs, blocks)


def coverage(comparisons: list[Comparison]) -> float:
    ratios = [c.ratio for c in comparisons if c.ratio is not None]
    covered = [r.low <= TRUE <= r.high for r in ratios if r.low is not None and r.high]
    return sum(covered) / len(covered)


def test_intervals_of_all_trials_are_narrower_than_those_of_unmarked_ones_and_cover() -> None:
    """The rule marks 3 of 10 smooth, stationary trials."""
    runs = 400
    every, unmarked, marked_share = intervals(runs)
    assert 0.25 < marked_share < 0.4
    assert every.share_of_runs == 1
    assert unmarked.share_of_runs < 0.6
    assert every.half_width.mean() < 0.75 * unmarked.half_width.mean()
    assert abs(every.covered.mean() - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs)


def test_marked_trials_are_counted_and_drop_no_block() -> None:
    rng = np.random.default_rng(20260105)
    logs = 0.1 * autoregressive(rng, (40, 5, 2, 20), correlation=0.56)
    comparisons = compared(*two_arm_runs(with_ratio(logs)), 5)
    assert sum(c.unsettled_blocks for c in comparisons) > 0.4 * 40 * 5
    assert all(c.dropped_blocks == 0 for c in comparisons)


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
