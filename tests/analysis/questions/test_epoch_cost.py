"""Tests that known fixed and marginal costs are estimated, with the nominal coverage."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from bench.analysis.questions.epoch_cost import _lines, epoch_costs, hotelling_p
from bench.analysis.statistics.intervals import mean_interval
from bench.analysis.statistics.session_units import session_means
from tests.support.sample_frames import make_trials

SIZES = [64_000, 640_000, 6_400_000, 64_000_000]
FIXED_S = {"none": 0.2, "bn_post": 0.5}
MARGINAL_S = {"none": 1e-6, "bn_post": 1.2e-6}


def exact(row: Mapping[str, Any], rng: np.random.Generator) -> float:
    del rng
    return FIXED_S[row["norm"]] + MARGINAL_S[row["norm"]] * float(row["examples"])


def noisy(row: Mapping[str, Any], rng: np.random.Generator) -> float:
    return exact(row, rng) * math.exp(rng.normal(0, 0.01))


def bent(row: Mapping[str, Any], rng: np.random.Generator) -> float:
    return noisy(row, rng) * (1.2 if row["examples"] == SIZES[1] else 1.0)


MATRIX: dict[str, Sequence[Any]] = {"norm": ["none", "bn_post"], "examples": SIZES}


def test_line_is_exact_over_three_orders_of_magnitude() -> None:
    (cost,) = epoch_costs(make_trials(MATRIX, blocks=3, seconds=exact), "norm", "none")
    for fit, norm in ((cost.arm, "bn_post"), (cost.baseline_arm, "none")):
        assert fit.fixed_s.value == pytest.approx(FIXED_S[norm])
        assert fit.marginal_s.value == pytest.approx(MARGINAL_S[norm])
        assert fit.residuals == pytest.approx([0] * 4, abs=1e-9)
    assert cost.marginal_ratio is not None
    assert cost.marginal_ratio.value == pytest.approx(1.2)


def test_sizes_count_only_whole_batches() -> None:
    trials = make_trials(
        {"norm": ["none", "bn_post"], "examples": [1000, 2000], "global_batch_size": [512]},
        blocks=2,
        seconds=exact,
    )
    (cost,) = epoch_costs(trials, "norm", "none")
    assert cost.arm.sizes == (512, 1536)
    assert cost.arm.lack_of_fit_p is None  # two sizes lie on a line


def test_bend_has_a_lack_of_fit_and_a_line_has_none() -> None:
    (line,) = epoch_costs(make_trials(MATRIX, blocks=8, seconds=noisy), "norm", "none")
    (bend,) = epoch_costs(make_trials(MATRIX, blocks=8, seconds=bent), "norm", "none")
    assert line.arm.lack_of_fit_p is not None and line.arm.lack_of_fit_p > 0.01
    assert bend.arm.lack_of_fit_p is not None and bend.arm.lack_of_fit_p < 0.001


def test_incomplete_blocks_and_sizes_are_dropped_and_counted() -> None:
    trials = make_trials(MATRIX, blocks=4, seconds=noisy)
    trials.loc[trials["examples"] == SIZES[3], "status"] = "out_of_memory"
    trials.loc[0, "status"] = "worker_lost"
    (cost,) = epoch_costs(trials, "norm", "none")
    assert (cost.blocks, cost.dropped_blocks, cost.dropped_sizes) == (3, 1, (SIZES[3],))


def test_each_session_gives_one_line() -> None:
    (cost,) = epoch_costs(make_trials(MATRIX, blocks=3, sessions=3, seconds=noisy), "norm", "none")
    assert (cost.arm.fixed_s.n, cost.blocks, cost.sessions) == (3, 9, 3)


def test_single_size_has_no_line() -> None:
    trials = make_trials({"norm": ["none", "bn_post"]}, blocks=3, seconds=noisy)
    assert epoch_costs(trials, "norm", "none") == ()


@pytest.mark.parametrize("blocks", [3, 5, 10])
def test_intervals_and_test_of_fit_have_nominal_level(blocks: int) -> None:
    runs, sizes = 3000, [55_000, 550_000, 5_500_000]
    rng = np.random.default_rng(20260103)
    true = 0.3 + 1e-6 * np.array(sizes)
    shared = rng.normal(0, 0.03, (runs, blocks, 1))
    times = true * (1 + shared + rng.normal(0, 0.01, (runs, blocks, len(sizes))))
    covered = np.zeros(2)
    rejected = 0.0
    for run_times in times:
        lines = _lines(run_times, sizes)
        for i, (values, truth) in enumerate(((lines.fixed, 0.3), (lines.marginal, 1e-6))):
            cost = mean_interval(session_means(values[:, None], [0] * blocks)[:, 0].tolist())
            covered[i] += (cost.low or 0) <= truth <= (cost.high or 0)
        p = hotelling_p(lines.orthogonal)
        assert p is not None
        rejected += p < 0.05
    error = 4 * math.sqrt(0.95 * 0.05 / runs)
    assert covered / runs == pytest.approx([0.95, 0.95], abs=error)
    assert rejected / runs == pytest.approx(0.05, abs=error)
