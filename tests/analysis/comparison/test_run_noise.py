"""Tests of a run's noise: one deviation from all comparisons, with honest degrees of freedom."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.comparison.compare import BlockRatio, Comparison
from bench.analysis.comparison.run_noise import RunNoise, run_noise
from bench.analysis.statistics.intervals import MIN_DF, blocks_for_half_width
from tests.support.simulated_runs import Floats


def comparison(logs: Floats, sessions: int = 1) -> Comparison:
    """Return a comparison with these log ratios, one per block."""
    blocks = tuple(
        BlockRatio(block, block * sessions // len(logs), math.exp(log))
        for block, log in enumerate(logs.tolist())
    )
    return Comparison(None, None, blocks, len(blocks), 0, 0, 0, 0, ())


def noise_of(logs: Floats, sessions: int = 1) -> RunNoise:
    """Return the noise of comparisons with one baseline: ``logs`` has a row for each."""
    noise = run_noise([("baseline", comparison(row, sessions)) for row in logs])
    assert noise is not None
    return noise


def test_noise_of_one_comparison_is_its_standard_deviation() -> None:
    logs = np.random.default_rng(1).normal(0.3, 0.04, (1, 8))
    noise = noise_of(logs)
    assert noise.deviation == pytest.approx(logs.std(ddof=1))
    assert noise.df == 7


def test_arms_with_one_baseline_have_the_degrees_of_freedom_that_are_stated() -> None:
    """The variance over that of a block is chi-square over its degrees of freedom."""
    runs, arms, blocks, deviation = 120, 4, 4, 0.03
    trials = np.random.default_rng(2).normal(0, deviation / math.sqrt(2), (runs, arms + 1, blocks))
    ratios = trials[:, :arms] - trials[:, arms:]
    found = [noise_of(logs) for logs in ratios]
    assert {n.df for n in found} == {arms * (blocks - 1)}
    scaled = [n.df * (n.deviation / deviation) ** 2 for n in found]
    assert stats.kstest(scaled, stats.chi2(arms * (blocks - 1)).cdf).pvalue > 0.01


def test_noise_is_that_within_sessions() -> None:
    logs = np.array([[0.0, 0.02, 1.0, 1.02]])
    noise = noise_of(logs, sessions=2)
    assert noise.deviation == pytest.approx(0.02 / math.sqrt(2))
    assert noise.df == 2


def test_no_number_of_blocks_from_few_degrees_of_freedom() -> None:
    logs = np.random.default_rng(3).normal(0, 0.04, (1, MIN_DF + 1))
    assert noise_of(logs[:, :-1]).further_blocks is None
    further = noise_of(logs).further_blocks
    assert further == (blocks_for_half_width(float(logs.std(ddof=1)), 0.02) or 0) - (MIN_DF + 1)


def test_the_comparison_with_the_fewest_blocks_decides() -> None:
    logs = np.random.default_rng(4).normal(0, 0.001, (12,))
    short, long = comparison(logs[:4]), comparison(logs)
    noise = run_noise([("a", short), ("b", long)], half_width=0.0005)
    assert noise is not None and noise.further_blocks is not None
    alone = run_noise([("b", long)], half_width=0.0005)
    assert alone is not None and alone.further_blocks is not None
    total = blocks_for_half_width(noise.deviation, 0.0005)
    assert total is not None and noise.further_blocks == max(0, total - 4)


def test_single_blocks_say_nothing() -> None:
    assert run_noise([("a", comparison(np.zeros(1))), ("b", comparison(np.zeros(0)))]) is None
    assert run_noise([]) is None
