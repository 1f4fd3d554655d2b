"""Intervals cover what they say, and nothing is said where there is nothing to say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.statistics.paired import (
    estimate,
    geometric_interval,
    mean_interval,
    paired_ratio,
    part_of_one,
    rate,
    ratio,
    smallest_detectable_ratio,
)

TIMES = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=2, max_size=9)


@given(TIMES)
def test_the_ratio_is_the_geometric_mean_of_the_blocks_ratios(
    times: list[tuple[float, float]],
) -> None:
    a, b = zip(*times, strict=True)
    found = paired_ratio(a, b)
    assert found.value == pytest.approx(stats.gmean(np.array(a) / np.array(b)))
    assert found.blocks == len(times)


@given(TIMES)
def test_the_interval_is_that_of_a_paired_t_test_on_logarithms(
    times: list[tuple[float, float]],
) -> None:
    a, b = zip(*times, strict=True)
    found = paired_ratio(a, b)
    logs = np.log(a) - np.log(b)
    half = stats.sem(logs) * stats.t.ppf(0.975, len(logs) - 1)
    assert found.low is not None and found.high is not None
    ends = [math.log(found.low), math.log(found.high)]
    assert ends == pytest.approx([logs.mean() - half, logs.mean() + half], abs=1e-9)


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=9))
def test_the_mean_of_rates_is_the_inverse_of_that_of_times(times: list[float]) -> None:
    found, rates = geometric_interval(times), geometric_interval([1 / t for t in times])
    assert found.value == pytest.approx(stats.gmean(times))
    assert found.low is not None and rates.high is not None
    assert 0 <= found.low <= found.value * (1 + 1e-9)
    if found.low > 1e-300:
        assert found.low * rates.high == pytest.approx(1)


@given(st.lists(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5), min_size=2, max_size=6))
def test_arms_are_ordered_by_throughput_as_by_time(arms: list[list[float]]) -> None:
    times = [geometric_interval(arm) for arm in arms]
    rates = [rate(1000, time) for time in times]
    by_time = sorted(range(len(arms)), key=lambda i: times[i].value)
    ordered = [rates[i].value for i in by_time]
    assert ordered == sorted(ordered, reverse=True)
    for time, found in zip(times, rates, strict=True):
        assert (found.low is None) == (time.high is None) == (found.n == 1)
        if found.low is not None and found.high is not None:
            assert found.low <= found.value * (1 + 1e-9) <= found.high * (1 + 2e-9)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_the_interval_of_a_part_of_one_is_the_t_interval_within_0_and_1(parts: list[float]) -> None:
    whole, found = mean_interval(parts), part_of_one(mean_interval(parts))
    assert whole.low is not None and whole.high is not None
    assert (found.value, found.n) == (whole.value, whole.n)
    assert (found.low, found.high) == (max(0, whole.low), min(1, whole.high))


def test_the_interval_of_a_time_is_that_of_its_logarithm() -> None:
    found = geometric_interval([1.0, 2.0, 4.0])
    half = stats.t.ppf(0.975, 2) * math.log(2) / math.sqrt(3)
    assert found.value == pytest.approx(2)
    assert found.n == 3
    assert found.low == pytest.approx(2 * math.exp(-half))
    assert found.high == pytest.approx(2 * math.exp(half))


def test_a_bound_beyond_all_floats_is_infinite() -> None:
    assert geometric_interval([1e-300, 1e300]).high == math.inf
    assert paired_ratio([1e-300, 1.0], [1.0, 1e-300]).high == math.inf


@given(TIMES)
def test_exchanging_the_arms_inverts_the_ratio(times: list[tuple[float, float]]) -> None:
    a, b = zip(*times, strict=True)
    there, back = paired_ratio(a, b), paired_ratio(b, a)
    assert there.value * back.value == pytest.approx(1)
    assert there.high is not None and back.low is not None
    assert there.high * back.low == pytest.approx(1)
    assert there.detectable == pytest.approx(back.detectable)


def test_conditions_that_both_arms_share_cancel() -> None:
    shared = [1.0, 1.5, 3.0]
    found = paired_ratio([2 * t for t in shared], shared)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_a_single_block_has_a_ratio_and_no_interval() -> None:
    found = paired_ratio([1.5], [1.0])
    assert (found.value, found.low, found.high, found.detectable) == (1.5, None, None, None)
    single = mean_interval([0.7])
    assert (single.value, single.low, single.high, single.n) == (0.7, None, None, 1)


def test_several_sessions_give_one_estimate_each() -> None:
    a, b = [2.0, 2.0, 2.0, 4.0], [1.0, 1.0, 1.0, 1.0]
    found = paired_ratio(a, b, sessions=[0, 0, 0, 1])
    assert (found.n, found.blocks, found.sessions) == (2, 4, 2)
    assert found.value == pytest.approx(math.sqrt(2 * 4))
    assert found.high == pytest.approx(paired_ratio([2.0, 4.0], [1.0, 1.0]).high)


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0]), ([1.0], [0.0])]
)
def test_times_that_cannot_be_compared_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError):
        paired_ratio(a, b)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_nominal_95_percent_covers_95_percent(n: int) -> None:
    runs = 20_000
    noise = np.random.default_rng(20260101).normal(0.0, 0.02, size=(runs, n))
    true = math.log(1.5)
    covered = 0
    for mean, deviation in zip(noise.mean(axis=1), noise.std(axis=1, ddof=1), strict=True):
        found = ratio(n, true + float(mean), float(deviation), n, 1)
        assert found.low is not None and found.high is not None
        covered += found.low <= 1.5 <= found.high
    # Four binomial standard errors.
    assert abs(covered / runs - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_smallest_detectable_ratio_is_found_in_nine_of_ten_cases(n: int) -> None:
    runs, deviation = 20_000, 0.02
    detectable = smallest_detectable_ratio(n, deviation)
    assert detectable is not None
    logs = np.random.default_rng(7).normal(math.log(detectable), deviation, size=(runs, n))
    found = np.mean(stats.ttest_1samp(logs, 0.0, axis=1).pvalue < 0.05)
    assert abs(found - 0.9) < 4 * math.sqrt(0.9 * 0.1 / runs)


def test_more_blocks_and_less_noise_detect_less() -> None:
    by_blocks = [smallest_detectable_ratio(n, 0.01) for n in (2, 3, 5, 10, 100)]
    assert by_blocks == sorted(by_blocks, key=lambda r: -(r or 0))
    assert smallest_detectable_ratio(5, 0.01) < smallest_detectable_ratio(5, 0.02)  # type: ignore[operator]
    assert smallest_detectable_ratio(5, 0.0) == 1.0


def test_noise_beyond_all_floats_has_no_smallest_detectable_ratio() -> None:
    assert smallest_detectable_ratio(2, 1e6) is None


def test_a_mean_and_its_moments_give_the_same_estimate() -> None:
    values = [0.71, 0.73, 0.70, 0.69]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    moments = float(np.mean(values)), float(np.std(values, ddof=1))
    for found in (mean_interval(values), estimate(4, *moments)):
        assert found.value == pytest.approx(0.7075)
        assert (found.low, found.high) == pytest.approx(expected)
