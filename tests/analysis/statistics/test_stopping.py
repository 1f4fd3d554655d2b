"""Tests of the rule that ends a run, and of the coverage of the intervals that it publishes."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.statistics.intervals import paired_ratio
from bench.analysis.statistics.stopping import confidence_of, decide, half_width
from bench.records.stopping_record import Stopping
from bench.spec.pairing import Pair
from tests.support.noise_models import NOISE
from tests.support.precise_runs import DEVIATION, Simulated, simulate


def pairs_of(count: int) -> list[Pair]:
    """Comparisons with a baseline each."""
    return [Pair(axis="norm", variant_id=f"v{i}", baseline_id=f"b{i}") for i in range(count)]


def ratios_of(logs: list[list[float]], sessions: list[int] | None = None) -> pd.DataFrame:
    """The log ratios of each comparison, block by block."""
    rows = [
        (pair, f"b{pair}", block, 0, sessions[block] if sessions else 0, log)
        for pair, values in enumerate(logs)
        for block, log in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["pair", "baseline_id", "block", "part", "session", "log"])


def looked_at(
    logs: list[list[float]], blocks: int = 6, *, precision: float = 0.02, max_blocks: int = 30
) -> Stopping:
    pairs = pairs_of(len(logs))
    return decide(ratios_of(logs), pairs, blocks=blocks, precision=precision, max_blocks=max_blocks)


def noise(deviation: float, blocks: int) -> list[float]:
    """Values around 0.3 with exactly this standard deviation."""
    values = np.random.default_rng(blocks).normal(size=blocks)
    scaled = 0.3 + (values - values.mean()) * deviation / values.std(ddof=1)
    return [float(value) for value in scaled]


LOGS = st.lists(
    st.lists(st.floats(-1, 1), min_size=6, max_size=6).filter(lambda v: np.std(v) > 1e-6),
    min_size=1,
    max_size=6,
)


@given(LOGS, st.floats(0.001, 0.9), st.floats(-3, 3))
def test_the_rule_does_not_see_whether_a_ratio_is_1(
    logs: list[list[float]], precision: float, shift: float
) -> None:
    here = looked_at(logs, precision=precision)
    there = looked_at([[log + shift for log in values] for values in logs], precision=precision)
    assert here.half_width == pytest.approx(there.half_width)
    if abs((here.half_width or 0.0) / precision - 1) > 1e-6:
        assert here.rule == there.rule


@given(LOGS)
def test_the_half_width_is_the_upper_end_of_an_interval_over_its_ratio(
    logs: list[list[float]],
) -> None:
    stopping = looked_at(logs[:1])
    published = paired_ratio(np.exp(logs[0]).tolist(), [1.0] * 6)
    assert published.high is not None
    ends = [stats.t.ppf(share, 5) for share in (0.975, 0.985)]
    own = math.log1p(stopping.widest or 0.0) * float(ends[0]) / float(ends[1])
    assert own == pytest.approx(math.log(published.high / published.value))
    assert stopping.half_width == pytest.approx(stopping.widest)


@pytest.mark.parametrize(
    ("deviation", "blocks", "rule", "further"),
    [
        (0.010, 6, "precision", 0),
        (0.035, 6, None, 2),
        (0.035, 14, "precision", 0),
        (0.200, 28, None, 2),
        (0.200, 29, None, 1),
        (0.200, 30, "max_blocks", 0),
        (0.010, 4, None, 2),  # narrow by chance: no look counts before 6 blocks
    ],
)
def test_a_run_goes_on_by_two_blocks_until_it_is_precise_or_has_the_most_blocks(
    deviation: float, blocks: int, rule: str | None, further: int
) -> None:
    stopping = looked_at([noise(deviation, blocks)] * 4, blocks)
    assert (stopping.rule, stopping.further_blocks) == (rule, further)
    assert stopping.blocks == blocks


def test_few_comparisons_have_wider_intervals() -> None:
    assert [confidence_of(n) for n in (1, 2, 3, 4, 18)] == [0.97, 0.96, 0.96, 0.95, 0.95]
    assert looked_at([noise(0.01, 6)]).confidence == 0.97


def test_the_needed_blocks_give_the_precision_if_the_noise_stays() -> None:
    stopping = looked_at([noise(0.035, 6)] * 4)
    needed, df, deviation = stopping.needed_blocks, stopping.df, stopping.deviation
    assert needed is not None and df is not None and deviation is not None
    widths = [
        half_width(deviation, df * (n - 1) / 5, n, stopping.confidence)
        for n in (needed - 1, needed)
    ]
    assert widths[0] > 0.02 >= widths[1]
    assert looked_at([noise(5.0, 6)], precision=0.001).needed_blocks is None


def test_a_comparison_without_half_of_its_blocks_is_left_out_and_named() -> None:
    logs: list[list[float]] = [noise(0.01, 6), noise(0.01, 6)[:2], [], noise(0.01, 6)[:3]]
    stopping = looked_at(logs)
    assert [pair.variant_id for pair in stopping.left_out] == ["v1", "v2"]
    assert stopping.comparisons == 2
    assert stopping.half_width == pytest.approx(
        half_width(stopping.deviation or 0.0, stopping.df or 0, 3, 0.96)
    )


def test_a_run_goes_on_until_each_comparison_has_six_blocks() -> None:
    logs = [noise(0.001, 8), noise(0.001, 8)[:5]]
    assert looked_at(logs, blocks=8).rule is None
    assert looked_at([[*values, 0.3] for values in logs], blocks=9).rule == "precision"


def test_without_a_comparison_a_run_ends() -> None:
    few: list[list[list[float]]] = [[], [[]], [[0.1], [0.2]]]
    for logs in few:
        stopping = looked_at(logs)
        assert (stopping.rule, stopping.further_blocks) == ("no_comparison", 0)
        assert stopping.half_width is None


def test_what_a_session_shares_does_not_widen_the_look() -> None:
    logs = [noise(0.01, 8) for _ in range(4)]
    shifted = [[log + 0.5 * (block >= 4) for block, log in enumerate(v)] for v in logs]
    ratios = ratios_of(shifted, sessions=[0] * 4 + [1] * 4)
    stopping = decide(ratios, pairs_of(4), blocks=8, precision=0.02, max_blocks=30)
    assert stopping.rule == "precision"
    assert stopping.df == 24


def test_equal_times_are_precise_at_the_first_look() -> None:
    stopping = looked_at([[0.0] * 6])
    assert (stopping.rule, stopping.half_width) == ("precision", 0.0)


def clopper_pearson(simulated: Simulated) -> tuple[float, float]:
    """The 99.9 % interval of the coverage of one comparison of each run, in turn another."""
    runs, comparisons = simulated.covered.shape
    independent = simulated.covered[np.arange(runs), np.arange(runs) % comparisons]
    interval = stats.binomtest(int(independent.sum()), runs).proportion_ci(0.999)
    return float(interval.low), float(interval.high)


@pytest.mark.parametrize(
    ("noise", "comparisons"), [("normal", 1), ("unequal", 4), ("bimodal", 4), ("drift", 18)]
)
def test_published_intervals_cover_after_stopping(noise: str, comparisons: int) -> None:
    simulated = simulate(noise, comparisons, runs=200)
    _, high = clopper_pearson(simulated)
    assert high > 0.95
    assert {stopping.rule for stopping in simulated.stopping} <= {"precision", "max_blocks"}
    assert 11 < simulated.blocks.mean() < 19


def test_a_group_in_two_parts_stops_on_the_deviation_of_its_blocks() -> None:
    simulated = simulate("normal", 12, runs=100, parts=2, max_blocks=6)
    variances = [stopping.deviation**2 for stopping in simulated.stopping if stopping.deviation]
    assert len(variances) == 100
    assert math.sqrt(sum(variances) / 100) == pytest.approx(DEVIATION, rel=0.04)
    _, high = clopper_pearson(simulated)
    assert high > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("comparisons", [1, 4, 18])
@pytest.mark.parametrize("noise", NOISE)
def test_the_coverage_of_the_procedure_is_near_95_percent(noise: str, comparisons: int) -> None:
    low, high = clopper_pearson(simulate(noise, comparisons, runs=2000))
    assert high > 0.945
    assert low < 0.98


@pytest.mark.slow
def test_a_single_comparison_would_cover_too_little_at_its_nominal_95_percent() -> None:
    _, high = clopper_pearson(simulate("normal", 1, runs=4000, confidence=0.95))
    assert high < 0.95
