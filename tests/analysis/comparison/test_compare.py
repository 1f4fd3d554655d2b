"""Tests of comparisons within blocks, over whole simulated runs with a known ratio."""

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.comparison.compare import Comparison, compare, log_ratios
from bench.analysis.statistics.turn_ratios import Windows
from bench.spec.pairing import Pair
from tests.support.marked_runs import intervals
from tests.support.simulated_runs import Floats, autoregressive, blocks_in, two_arm_runs

TRUE = 1.5


def with_ratio(logs: Floats) -> Floats:
    """Return epoch times whose first arm takes ``TRUE`` times as long."""
    times: Floats = np.exp(logs + np.array([math.log(TRUE), 0.0])[:, None])
    return times


def compared(trials: pd.DataFrame, pairs: list[Pair]) -> list[Comparison]:
    return compare(trials, [{}], pairs, blocks_in(trials))


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
    comparisons = compared(*two_arm_runs(with_ratio(logs)))
    assert sum(c.unsettled_blocks for c in comparisons) > 0.4 * 40 * 5
    assert all(c.dropped_blocks == 0 for c in comparisons)


def test_interval_within_sessions_covers_their_mean_and_not_the_truth_between_them() -> None:
    runs, sessions, blocks = 400, 4, 12
    rng = np.random.default_rng(20260106)
    session = np.repeat(rng.normal(0, 0.05, (runs, sessions)), blocks // sessions, axis=1)
    noise = rng.normal(0, 0.01, (runs, blocks, 2, 3))
    noise[:, :, 0] += session[:, :, None]
    trials, pairs = two_arm_runs(with_ratio(noise), sessions)
    comparisons = compared(trials, pairs)
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
    (comparison,) = compared(*two_arm_runs(times))
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
    (comparison,) = compared(trials, pairs)
    assert (comparison.split_blocks, comparison.dropped_blocks) == (1, 0)
    assert [b.block for b in comparison.block_ratios] == [0, 2, 3]


def in_rounds(seconds: list[list[float]]) -> Windows:
    """Return windows of 100 examples, one a round; each list is a trial's."""
    trial = np.repeat(np.arange(len(seconds)), [len(times) for times in seconds])
    number = np.concatenate([np.arange(len(times)) for times in seconds])
    times = np.array([time for each in seconds for time in each])
    return Windows(trial, number.astype(np.int64), times, np.full(len(times), 100.0))


def four_trials() -> tuple[pd.DataFrame, list[Pair]]:
    """Return two blocks whose epochs say 1.5 and whose trials are 0 to 3."""
    return two_arm_runs(with_ratio(np.zeros((1, 2, 2, 3))))


def test_the_value_of_a_block_is_the_median_over_the_rounds_of_its_arms() -> None:
    trials, pairs = four_trials()
    arm, baseline = [1.3, 1.3, 9.9], [1.0, 1.0, 1.0]
    turns = in_rounds([arm, baseline, [2.6, 0.1, 2.6], [2.0, 2.0, 2.0]])
    (comparison,) = compare(trials, [{"turns": "window"}], pairs, blocks_in(trials), turns=turns)
    assert [block.ratio for block in comparison.block_ratios] == pytest.approx([1.3, 1.3])
    assert comparison.sequential_blocks == 0
    logs = log_ratios(trials, pairs, turns)["log"]
    assert logs.tolist() == pytest.approx([math.log(1.3)] * 2)


def test_an_arm_that_was_tried_again_alone_makes_no_ratio() -> None:
    trials, pairs = four_trials()
    turns = in_rounds([[1.3], [1.0], [], [2.0]])
    (comparison,) = compare(trials, [{"turns": "window"}], pairs, blocks_in(trials), turns=turns)
    assert [block.block for block in comparison.block_ratios] == [0]
    assert comparison.dropped_blocks == 1


def test_a_block_that_fell_back_has_the_ratio_of_its_epochs_and_a_mark() -> None:
    trials, pairs = four_trials()
    trials["settings"] = [0, 0, 1, 1]
    turns = in_rounds([[1.3], [1.0], [], []])
    settings = [{"turns": "window"}, {"turns": "trial"}]
    (comparison,) = compare(trials, settings, pairs, blocks_in(trials), turns=turns)
    assert [block.ratio for block in comparison.block_ratios] == pytest.approx([1.3, TRUE])
    assert (comparison.sequential_blocks, comparison.dropped_blocks) == (1, 0)


def test_arms_with_different_numbers_of_examples_have_the_ratio_of_whole_epochs() -> None:
    trials, pairs = four_trials()
    trials["examples"] = [2000, 1000] * 2
    turns = in_rounds([[1.1], [1.0]] * 2)
    (comparison,) = compare(trials, [{"turns": "window"}], pairs, blocks_in(trials), turns=turns)
    assert [block.ratio for block in comparison.block_ratios] == pytest.approx([2.2, 2.2])


def test_arms_are_compared_within_their_part() -> None:
    trials, pairs = four_trials()
    trials["block"], trials["part"] = 0, [0, 0, 1, 1]
    second = [pairs[0].model_copy(update={"variant_id": "0-2"})]
    trials.loc[2, "variant_id"] = "0-2"
    turns = in_rounds([[1.3], [1.0], [3.0], [2.0]])
    (comparison,) = compare(trials, [{}], second, blocks_in(trials), turns=turns)
    assert [block.ratio for block in comparison.block_ratios] == pytest.approx([1.5])


def in_two_parts() -> tuple[pd.DataFrame, list[Pair]]:
    """Return six blocks in which both arms train in two parts, with a noise of their own."""
    noise = np.random.default_rng(20261130).normal(0, 0.03, (1, 12, 2, 3))
    trials, pairs = two_arm_runs(with_ratio(noise))
    return trials.assign(block=trials["block"] // 2, part=trials["block"] % 2), pairs


def test_a_block_whose_arms_train_in_two_parts_counts_once() -> None:
    trials, pairs = in_two_parts()
    (comparison,) = compared(trials, pairs)
    (of_first_part,) = compared(trials[trials["part"] == 0], pairs)
    assert comparison == of_first_part
    assert comparison.ratio is not None and comparison.ratio.n == 6
    assert comparison.dropped_blocks == 0
    assert log_ratios(trials, pairs)["block"].tolist() == list(range(6))


def test_a_block_uses_the_first_part_with_a_value() -> None:
    trials, pairs = in_two_parts()
    trials.loc[0, "status"] = "worker_lost"
    trials.loc[4, "invocation"] = 1
    (comparison,) = compared(trials, pairs)
    assert [block.part for block in comparison.block_ratios] == [1, 1, 0, 0, 0, 0]
    assert (comparison.dropped_blocks, comparison.split_blocks) == (0, 0)


def test_a_block_counts_as_split_once_if_no_part_is_whole() -> None:
    trials, pairs = in_two_parts()
    trials.loc[[0, 2], "invocation"] = 1
    (comparison,) = compared(trials, pairs)
    assert (comparison.dropped_blocks, comparison.split_blocks) == (0, 1)
    assert [block.block for block in comparison.block_ratios] == [1, 2, 3, 4, 5]
