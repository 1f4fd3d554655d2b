"""Tests that known effects and interactions are estimated, with the nominal coverage."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from bench.analysis.comparison.effects import Effects, effects
from bench.analysis.statistics.design_matrix import Design
from bench.analysis.statistics.intervals import Ratio
from tests.support.sample_frames import Seconds, make_trials

MATRIX: dict[str, Sequence[Any]] = {
    "norm": ["none", "bn_post"],
    "global_batch_size": [32, 512],
    "jit": ["none", "step", "epoch"],
}
FACTORS = tuple(MATRIX)
BN = {32: 1.9, 512: 1.05}
JIT = {"none": 3.0, "step": 1.5, "epoch": 1.0}


def times(noise: float = 0.0, session_noise: float = 0.0, block_noise: float = 0.1) -> Seconds:
    """BN costs more in small batches; ``session_noise`` varies that cost by session."""
    shared: dict[str, float] = {}

    def seconds(row: Mapping[str, Any], rng: np.random.Generator) -> float:
        block = shared.setdefault(f"block {row['block']}", rng.normal(0, block_noise))
        session = shared.setdefault(f"session {row['session']}", rng.normal(0, session_noise))
        cost = BN[row["global_batch_size"]] * math.exp(session) if row["norm"] == "bn_post" else 1.0
        return float(cost * JIT[row["jit"]] * math.exp(block + rng.normal(0, noise)))

    return seconds


def ratio_of(result: Effects, level: str, under: tuple[str, str] | None = None) -> Ratio:
    (ratio,) = (e.ratio for e in result.effects if e.level == level and e.under == under)
    assert ratio is not None
    return ratio


def test_average_and_conditional_effects_are_exact_without_noise() -> None:
    result = effects(make_trials(MATRIX, blocks=3, seconds=times()), FACTORS)
    assert ratio_of(result, "bn_post").value == pytest.approx(math.sqrt(1.9 * 1.05))
    assert ratio_of(result, "bn_post", ("global_batch_size", "32")).value == pytest.approx(1.9)
    assert ratio_of(result, "bn_post", ("global_batch_size", "512")).value == pytest.approx(1.05)
    assert ratio_of(result, "epoch").value == pytest.approx(1 / 3)
    assert (result.trials, result.blocks, result.sessions) == (36, 3, 1)


def test_factors_default_to_all_settings_that_vary() -> None:
    trials = make_trials(MATRIX, blocks=2, seconds=times())
    assert set(effects(trials).factors) == set(MATRIX)
    swapped = effects(trials, ("norm",), {"norm": "bn_post"})
    assert ratio_of(swapped, "none").value == pytest.approx(1 / math.sqrt(1.9 * 1.05))


def test_absorbed_blocks_equal_block_columns() -> None:
    trials = make_trials(MATRIX, blocks=4, seconds=times(noise=0.05))
    trials = trials.drop(index=[3, 17, 30])  # unbalanced
    design = Design.of(trials, FACTORS, {})
    blocks = np.equal.outer(trials["block"].to_numpy(), np.arange(4)).astype(float)
    full = sm.OLS(np.log(trials["epoch_s"]), np.column_stack([design.matrix(trials), blocks]))
    weights = np.concatenate([design.contrast("norm", "bn_post"), np.zeros(4)])
    expected = full.fit().t_test(weights)
    result = ratio_of(effects(trials, FACTORS), "bn_post")
    ends = np.exp(expected.conf_int()[0])
    assert (result.low, result.high) == pytest.approx(tuple(ends))
    assert result.value == pytest.approx(math.exp(expected.effect[0]))


def test_inseparable_effects_have_no_ratio() -> None:
    trials = make_trials(MATRIX, blocks=3, seconds=times())
    aliased = trials[(trials["norm"] == "bn_post") == (trials["global_batch_size"] == 512)]
    result = effects(aliased, ("norm", "global_batch_size"))
    assert {e.ratio for e in result.effects} == {None}


def test_failed_trials_are_counted_not_used_and_unsettled_ones_are_both() -> None:
    trials = make_trials(MATRIX, blocks=3, seconds=times())
    trials.loc[[0, 1], "status"] = "out_of_memory"
    trials.loc[[0, 1], "epoch_s"] = 1e6
    trials.loc[5, "steady"] = "drifting"
    result = effects(trials, FACTORS)
    assert (result.trials, result.unsettled, result.statuses) == (34, 1, {"out_of_memory": 2})
    assert ratio_of(result, "bn_post", ("global_batch_size", "512")).value == pytest.approx(1.05)


def test_each_session_gives_one_estimate_and_the_mixed_model_agrees() -> None:
    trials = make_trials(MATRIX, blocks=3, sessions=5, seconds=times(0.02, 0.05))
    result = effects(trials, ("norm", "global_batch_size"))
    assert (result.sessions, result.blocks) == (5, 15)
    (effect,) = (e for e in result.effects if e.level == "bn_post" and e.under is None)
    assert effect.ratio is not None and effect.mixed is not None
    assert effect.ratio.n == 5
    assert effect.mixed.value == pytest.approx(effect.ratio.value, rel=0.02)
    two = effects(trials[trials["session"] < 2], ("norm", "global_batch_size"))
    assert {e.mixed for e in two.effects} == {None}


@pytest.mark.parametrize("blocks", [3, 5, 10])
def test_intervals_cover_95_percent(blocks: int) -> None:
    runs = 150
    small = {name: MATRIX[name] for name in ("norm", "global_batch_size")}
    trials = make_trials({**small, "jit": ["epoch"]}, blocks=blocks, seconds=times())
    exact, rng = trials["epoch_s"].to_numpy(), np.random.default_rng(20260104)
    true = {None: math.sqrt(1.9 * 1.05), ("global_batch_size", "32"): 1.9}
    covered = dict.fromkeys(true, 0)
    for _ in range(runs):
        noisy = trials.assign(epoch_s=exact * np.exp(rng.normal(0, 0.03, len(trials))))
        result = effects(noisy, tuple(small))
        for under, truth in true.items():
            interval = ratio_of(result, "bn_post", under)
            covered[under] += (interval.low or 0) <= truth <= (interval.high or 0)
    error = 4 * math.sqrt(0.95 * 0.05 / runs)
    assert [n / runs for n in covered.values()] == pytest.approx([0.95, 0.95], abs=error)


def test_group_noise_affects_only_factors_between_groups() -> None:
    """Each group of arms has a random level; norm varies within groups, batch size between."""
    runs, blocks = 150, 4
    small = {name: MATRIX[name] for name in ("norm", "global_batch_size")}
    trials = make_trials({**small, "jit": ["epoch"]}, blocks=blocks, seconds=times())
    exact, rng = trials["epoch_s"].to_numpy(), np.random.default_rng(20261124)
    group = trials.groupby(["block", "global_batch_size"]).ngroup().to_numpy()
    true = {
        ("bn_post", None): math.sqrt(1.9 * 1.05),
        ("bn_post", ("global_batch_size", "32")): 1.9,
        ("512", None): math.sqrt(1.05 / 1.9),
        ("512", ("norm", "none")): 1.0,
    }
    covered = dict.fromkeys(true, 0)
    width = 0.0
    for _ in range(runs):
        log_noise = rng.normal(0, 0.2, 2 * blocks)[group] + rng.normal(0, 0.01, len(trials))
        noisy = trials.assign(epoch_s=exact * np.exp(log_noise))
        result = effects(noisy, tuple(small), {"norm": "none"})
        for (level, under), truth in true.items():
            interval = ratio_of(result, level, under)
            covered[level, under] += (interval.low or 0) <= truth <= (interval.high or 0)
        norm = ratio_of(result, "bn_post")
        width = max(width, math.log((norm.high or math.inf) / (norm.low or 1)))
    error = 4 * math.sqrt(0.95 * 0.05 / runs)
    assert [n / runs for n in covered.values()] == pytest.approx([0.95] * 4, abs=error)
    assert width < 0.1  # the noise between groups would make it ten times as wide


def test_incomplete_group_has_no_group_mean() -> None:
    trials = make_trials(MATRIX, blocks=3, seconds=times())
    result = effects(trials.drop(index=[1, 8]), FACTORS, {"norm": "none"})
    assert ratio_of(result, "epoch").value == pytest.approx(1 / 3)
    assert ratio_of(result, "epoch", ("norm", "bn_post")).value == pytest.approx(1 / 3)
    assert ratio_of(result, "bn_post", ("global_batch_size", "32")).value == pytest.approx(1.9)


def test_arms_are_compared_within_the_parts_of_a_group() -> None:
    """A baseline trains in each of two parts, which the machine's state sets apart."""
    norms = {"norm": ["none", "bn_post", "bn_pre"], "jit": ["epoch"]}
    true = {"none": 1.0, "bn_post": 1.5, "bn_pre": 1.2}
    trials = make_trials(norms, blocks=4, seconds=lambda row, _rng: true[row["norm"]])
    first = trials[trials["norm"] != "bn_pre"]
    second = trials[trials["norm"] != "bn_post"].assign(part=1)
    second["epoch_s"] *= np.exp(np.random.default_rng(20261130).normal(0, 0.3, 4))[second["block"]]
    both = pd.concat([first, second], ignore_index=True)
    result = effects(both, ("norm",), {"norm": "none"})
    assert ratio_of(result, "bn_post").value == pytest.approx(1.5)
    assert ratio_of(result, "bn_pre").value == pytest.approx(1.2)
