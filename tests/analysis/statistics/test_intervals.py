"""Tests that intervals have their nominal coverage, and are None without enough data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.statistics.intervals import (
    blocks_for_half_width,
    clamp_fraction,
    estimate,
    geometric_interval,
    mean_interval,
    paired_ratio,
    rate,
    ratio,
    smallest_detectable_ratio,
)
from bench.spec.suite import FEWEST_BLOCKS_FOR_INTERVAL

TIMES = st.lists(
    st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
    min_size=FEWEST_BLOCKS_FOR_INTERVAL,
    max_size=9,
)


@given(TIMES)
def test_ratio_is_the_geometric_mean_over_blocks(
    times: list[tuple[float, float]],
) -> None:
    a, b = zip(*times, strict=True)
    estimated = paired_ratio(a, b)
    assert estimated.value == pytest.approx(stats.gmean(np.array(a) / np.array(b)))
    assert estimated.blocks == len(times)


@given(TIMES)
def test_interval_is_that_of_a_paired_t_test_on_logarithms(
    times: list[tuple[float, float]],
) -> None:
    a, b = zip(*times, strict=True)
    estimated = paired_ratio(a, b)
    logs = np.log(a) - np.log(b)
    half = stats.sem(logs) * stats.t.ppf(0.975, len(logs) - 1)
    assert estimated.low is not None and estimated.high is not None
    ends = [math.log(estimated.low), math.log(estimated.high)]
    assert ends == pytest.approx([logs.mean() - half, logs.mean() + half], abs=1e-9)


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=9))
def test_mean_rate_is_the_inverse_of_the_mean_time(times: list[float]) -> None:
    estimated, rates = geometric_interval(times), geometric_interval([1 / t for t in times])
    assert estimated.value == pytest.approx(stats.gmean(times))
    assert estimated.low is not None and rates.high is not None
    assert 0 <= estimated.low <= estimated.value * (1 + 1e-9)
    if estimated.low > 1e-300:
        assert estimated.low * rates.high == pytest.approx(1)


@given(st.lists(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5), min_size=2, max_size=6))
def test_throughput_and_time_order_arms_alike(arms: list[list[float]]) -> None:
    times = [geometric_interval(arm) for arm in arms]
    rates = [rate(1000, time) for time in times]
    by_time = sorted(range(len(arms)), key=lambda i: times[i].value)
    ordered = [rates[i].value for i in by_time]
    assert ordered == sorted(ordered, reverse=True)
    for time, estimated in zip(times, rates, strict=True):
        assert (estimated.low is None) == (time.high is None) == (estimated.n == 1)
        if estimated.low is not None and estimated.high is not None:
            assert estimated.low <= estimated.value * (1 + 1e-9) <= estimated.high * (1 + 2e-9)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_interval_of_a_fraction_is_clamped(fractions: list[float]) -> None:
    unclamped, estimated = mean_interval(fractions), clamp_fraction(mean_interval(fractions))
    assert unclamped.low is not None and unclamped.high is not None
    assert (estimated.value, estimated.n) == (unclamped.value, unclamped.n)
    assert (estimated.low, estimated.high) == (max(0, unclamped.low), min(1, unclamped.high))


def test_interval_of_a_time_is_that_of_its_logarithm() -> None:
    estimated = geometric_interval([1.0, 2.0, 4.0])
    half = stats.t.ppf(0.975, 2) * math.log(2) / math.sqrt(3)
    assert estimated.value == pytest.approx(2)
    assert estimated.n == 3
    assert estimated.low == pytest.approx(2 * math.exp(-half))
    assert estimated.high == pytest.approx(2 * math.exp(half))


def test_bound_that_overflows_is_infinite() -> None:
    assert geometric_interval([1e-300, 1e300]).high == math.inf
    assert paired_ratio([1e-300, 1.0, 1.0], [1.0, 1e-300, 1.0]).high == math.inf


@given(TIMES)
def test_swapping_arms_inverts_the_ratio(times: list[tuple[float, float]]) -> None:
    a, b = zip(*times, strict=True)
    forward, back = paired_ratio(a, b), paired_ratio(b, a)
    assert forward.value * back.value == pytest.approx(1)
    assert forward.high is not None and back.low is not None
    assert forward.high * back.low == pytest.approx(1)
    assert forward.detectable == pytest.approx(back.detectable)


def test_shared_conditions_cancel() -> None:
    shared = [1.0, 1.5, 3.0]
    estimated = paired_ratio([2 * t for t in shared], shared)
    assert (estimated.value, estimated.low, estimated.high) == pytest.approx((2, 2, 2))


def test_single_block_has_a_ratio_without_interval() -> None:
    estimated = paired_ratio([1.5], [1.0])
    assert (estimated.value, estimated.low, estimated.high, estimated.detectable) == (
        1.5,
        None,
        None,
        None,
    )
    single = mean_interval([0.7])
    assert (single.value, single.low, single.high, single.n) == (0.7, None, None, 1)


def test_each_session_gives_one_estimate() -> None:
    a, b = [2.0, 2.0, 2.0, 4.0], [1.0, 1.0, 1.0, 1.0]
    estimated = paired_ratio(a, b, sessions=[0, 0, 0, 1])
    assert (estimated.n, estimated.blocks, estimated.sessions) == (2, 4, 2)
    assert estimated.value == pytest.approx(math.sqrt(2 * 4))
    t = float(stats.t.ppf(0.975, 1))
    assert estimated.high == pytest.approx(math.sqrt(8) * math.exp(t * math.log(2) / 2))


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0]), ([1.0], [0.0])]
)
def test_invalid_times_are_rejected(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError):
        paired_ratio(a, b)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_interval_covers_95_percent(n: int) -> None:
    runs = 20_000
    noise = np.random.default_rng(20260101).normal(0.0, 0.02, size=(runs, n))
    true = math.log(1.5)
    covered = 0
    for mean, deviation in zip(noise.mean(axis=1), noise.std(axis=1, ddof=1), strict=True):
        estimated = ratio(n, true + float(mean), float(deviation), n, 1)
        assert estimated.low is not None and estimated.high is not None
        covered += estimated.low <= 1.5 <= estimated.high
    # Four binomial standard errors.
    assert abs(covered / runs - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_smallest_detectable_ratio_is_detected_with_power_0_9(n: int) -> None:
    runs, deviation = 20_000, 0.02
    detectable = smallest_detectable_ratio(n, deviation)
    assert detectable is not None
    logs = np.random.default_rng(7).normal(math.log(detectable), deviation, size=(runs, n))
    estimated = np.mean(stats.ttest_1samp(logs, 0.0, axis=1).pvalue < 0.05)
    assert abs(estimated - 0.9) < 4 * math.sqrt(0.9 * 0.1 / runs)


def test_more_blocks_or_less_noise_detect_smaller_ratios() -> None:
    by_blocks = [smallest_detectable_ratio(n, 0.01) for n in (2, 3, 5, 10, 100)]
    assert by_blocks == sorted(by_blocks, key=lambda r: -(r or 0))
    by_noise = [smallest_detectable_ratio(5, deviation) or 0.0 for deviation in (0.01, 0.02)]
    assert 1.0 < by_noise[0] < by_noise[1]
    assert smallest_detectable_ratio(5, 0.0) == 1.0


def test_no_detectable_ratio_if_it_overflows() -> None:
    assert smallest_detectable_ratio(2, 1e6) is None


def test_values_and_their_moments_give_the_same_estimate() -> None:
    values = [0.71, 0.73, 0.70, 0.69]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    moments = float(np.mean(values)), float(np.std(values, ddof=1))
    for estimated in (mean_interval(values), estimate(4, *moments)):
        assert estimated.value == pytest.approx(0.7075)
        assert (estimated.low, estimated.high) == pytest.approx(expected)


@given(st.floats(1e-4, 0.3), st.floats(0.005, 0.5))
def test_blocks_for_a_half_width_are_the_fewest(deviation: float, half_width: float) -> None:
    total = blocks_for_half_width(deviation, half_width)
    assert total is not None

    def is_narrow(n: int) -> bool:
        ends = ratio(n, 0.0, deviation, n, 1)
        return ends.high is not None and ends.high <= (1 + half_width) * (1 + 1e-12)

    assert is_narrow(total)
    assert total == FEWEST_BLOCKS_FOR_INTERVAL or not is_narrow(total - 1)


def test_no_number_of_blocks_above_a_million() -> None:
    assert blocks_for_half_width(100.0, 0.01) is None
