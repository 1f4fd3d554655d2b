"""A block's value is the median over rounds, which resists a machine whose states last seconds."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.statistics.turn_ratios import NO_ROUND, BlockValues, Windows, block_values
from tests.support.simulated_machine import simulated_block_values


def windows_of(rows: list[tuple[int, int, float, float]]) -> Windows:
    trial, number, seconds, examples = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Windows(
        np.array(trial, dtype=np.int64),
        np.array(number, dtype=np.int64),
        np.array(seconds, dtype=np.float64),
        np.array(examples, dtype=np.float64),
    )


def value(rows: list[tuple[int, int, float, float]]) -> BlockValues:
    return block_values(windows_of(rows), [1], [0], [1.0, 8.0])


def test_the_value_is_the_median_over_common_rounds() -> None:
    rows = [(0, n, 1.0, 10.0) for n in range(3)] + [
        (1, n, s, 10.0) for n, s in enumerate([2.0, 50.0, 3.0, 9.0])
    ]
    values = value(rows)
    assert values.log_ratio == pytest.approx([math.log(3.0)])
    assert values.rounds.tolist() == [3]


def test_the_first_window_after_a_change_of_hands_counts_in_neither_turn() -> None:
    rows = [
        (0, 0, 9.0, 1.0),
        (0, 0, 1.0, 1.0),
        (0, 0, 3.0, 1.0),
        (1, 0, 7.0, 1.0),
        (1, 0, 4.0, 1.0),
    ]
    assert value(rows).log_ratio == pytest.approx([math.log(2.0)])


def test_the_first_window_counts_in_both_turns_if_one_has_no_other() -> None:
    eight = [(0, 0, 3.0, 32.0)] + [(0, 0, 1.0, 32.0)] * 7
    assert value([*eight, (1, 0, 10.0, 256.0)]).log_ratio == pytest.approx([0.0])


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.1, 10.0), st.floats(0.2, 5.0))
def test_arms_of_equal_cost_have_ratio_1_whatever_their_windows(
    arm: int, baseline: int, change_s: float, cost_s: float
) -> None:
    rows = []
    for trial, windows in enumerate((baseline, arm)):
        seconds = [cost_s / windows] * windows
        rows += [(trial, 0, s + change_s * (i == 0), 1 / windows) for i, s in enumerate(seconds)]
    assert value(rows).log_ratio == pytest.approx([0.0], abs=1e-9)


def test_times_are_per_example() -> None:
    rows = [(0, 0, 1.0, 32.0), (1, 0, 2.0, 512.0)]
    assert value(rows).log_ratio == pytest.approx([math.log(2.0 / 512 * 32)])


def test_without_a_common_round_the_median_epochs_decide() -> None:
    apart = [(0, 0, 1.0, 1.0), (1, 1, 2.0, 1.0)]
    outside = [(0, NO_ROUND, 1.0, 1.0), (1, NO_ROUND, 2.0, 1.0)]
    for rows in ([], apart, outside):
        values = value(rows)
        assert values.log_ratio == pytest.approx([math.log(8.0)])
        assert values.rounds.tolist() == [0]


def test_a_pair_that_was_never_timed_has_no_value() -> None:
    values = block_values(windows_of([]), [1], [0], [1.0, math.nan])
    assert np.isnan(values.log_ratio).all()


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 6), st.floats(0.1, 10.0)), max_size=12),
        min_size=2,
        max_size=5,
    ),
    st.data(),
)
def test_many_pairs_at_once_have_the_values_of_each_alone(
    trials: list[list[tuple[int, float]]], data: st.DataObject
) -> None:
    rows = [
        (i, number, seconds, 1.0)
        for i, turns in enumerate(trials)
        for number, seconds in sorted(turns, key=lambda turn: turn[0])
    ]
    index = st.integers(0, len(trials) - 1)
    pairs = data.draw(st.lists(st.tuples(index, index), max_size=6))
    arms, baselines = [a for a, _ in pairs], [b for _, b in pairs]
    epoch_s = [float(i + 1) for i in range(len(trials))]
    together = block_values(windows_of(rows), arms, baselines, epoch_s)
    for i, (arm, baseline) in enumerate(pairs):
        expected = plain_value(trials[arm], trials[baseline], epoch_s[arm] / epoch_s[baseline])
        assert together.log_ratio[i] == pytest.approx(expected)


def plain_value(
    arm: list[tuple[int, float]], baseline: list[tuple[int, float]], of_epochs: float
) -> float:
    def by_round(turns: list[tuple[int, float]]) -> dict[int, list[float]]:
        windows: dict[int, list[float]] = {}
        for number, seconds in sorted(turns, key=lambda turn: turn[0]):
            windows.setdefault(number, []).append(seconds)
        return windows

    a, b = by_round(arm), by_round(baseline)
    ratios = []
    for n in a.keys() & b.keys():
        first = 1 if min(len(a[n]), len(b[n])) > 1 else 0
        ratios.append(math.log(statistics.fmean(a[n][first:]) / statistics.fmean(b[n][first:])))
    return statistics.median(ratios) if ratios else math.log(of_epochs)


def test_on_a_machine_whose_states_last_seconds_turns_of_windows_vary_least() -> None:
    deviations = {
        design: float(np.std(values)) for design, values in simulated_block_values(400).items()
    }
    assert (
        deviations["windows, median of ratios"]
        < deviations["windows, ratio of means"]
        < deviations["epochs in turns"] / 5
        < deviations["trials in sequence"] / 10
    )


def test_on_a_machine_whose_states_last_seconds_the_value_is_unbiased() -> None:
    values = simulated_block_values(400, ratio=1.5)["windows, median of ratios"]
    standard_error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values) - math.log(1.5)) < 4 * standard_error
