"""Tests of both readings of the claim, on data with a known answer."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.analysis.questions.large_data_claim import RatioTrend, ratio_trends, target_comparisons
from tests.support.claim_runs import answers_of
from tests.support.noise_models import NOISE
from tests.support.sample_frames import Seconds, make_trials

SIZES = [64_000, 640_000, 6_400_000]
MATRIX: dict[str, Sequence[Any]] = {"norm": ["none", "bn_post"], "examples": SIZES}


def times(fixed_s: float, marginal: float, noise: float = 0.005) -> Seconds:
    """Epochs of 0.1 s and 1 us an example; with BN, ``fixed_s`` and ``marginal`` us instead."""

    def seconds(row: Mapping[str, Any], rng: np.random.Generator) -> float:
        with_bn = row["norm"] == "bn_post"
        exact = (fixed_s if with_bn else 0.1) + 1e-6 * row["examples"] * (
            marginal if with_bn else 1
        )
        return float(exact * math.exp(rng.normal(0, noise)))

    return seconds


def trend_of(seconds: Seconds, blocks: int = 5) -> RatioTrend:
    (result,) = ratio_trends(make_trials(MATRIX, blocks=blocks, seconds=seconds), "norm", "none")
    return result


def test_ratio_of_a_fixed_cost_falls_toward_one() -> None:
    result = trend_of(times(fixed_s=0.3, marginal=1.0))
    assert (result.answer, result.ratio_falls, result.cost_vanishes) == ("yes", "yes", "yes")
    assert result.next_steps == ()
    assert result.smallest is not None and result.smallest.ratio is not None
    assert result.smallest.ratio.value > 2


def test_ratio_of_a_cost_per_example_does_not_fall() -> None:
    result = trend_of(times(fixed_s=0.1 * 1.9, marginal=1.9))
    assert (result.answer, result.ratio_falls, result.cost_vanishes) == ("no", "no", "no")
    assert result.marginal_ratio is not None
    assert result.marginal_ratio.value == pytest.approx(1.9, rel=0.02)


def test_ratio_that_levels_off_above_one_is_a_no() -> None:
    result = trend_of(times(fixed_s=1.0, marginal=1.4))
    assert (result.answer, result.ratio_falls, result.cost_vanishes) == ("no", "yes", "no")


def test_falling_ratio_that_is_still_high_needs_larger_sizes() -> None:
    result = trend_of(times(fixed_s=3.0, marginal=1.0))
    assert (result.answer, result.ratio_falls, result.cost_vanishes) == ("undecided", "yes", "no")
    (step,) = result.next_steps
    assert step.kind == "larger_size"
    assert step.amount is not None
    # (3 + n) / (0.1 + n) = 1.05 where n is 57.9 s' worth of examples.
    assert step.amount == pytest.approx(57.9e6, rel=0.5)


def test_noisy_ratio_is_undecided_and_needs_more_blocks() -> None:
    result = trend_of(times(fixed_s=0.15, marginal=1.0, noise=0.1), blocks=7)
    assert result.answer == "undecided"
    (step,) = result.next_steps
    assert step.kind == "blocks"
    assert step.amount is not None and step.amount > 0


def test_few_blocks_do_not_say_how_many_more() -> None:
    result = trend_of(times(fixed_s=0.15, marginal=1.0, noise=0.5), blocks=3)
    assert [(n.kind, n.amount) for n in result.next_steps] == [("blocks", None)]


def test_single_size_has_no_trend() -> None:
    trials = make_trials({"norm": ["none", "bn_post"]}, blocks=3, seconds=times(0.1, 1.0))
    (result,) = ratio_trends(trials, "norm", "none")
    assert (result.answer, result.ratio_falls, result.per_tenfold) == (
        "undecided",
        "undecided",
        None,
    )
    assert [n.kind for n in result.next_steps] == ["sizes"]


def test_run_without_completed_trials_is_undecided() -> None:
    trials = make_trials(MATRIX, blocks=3, seconds=times(0.1, 1.0)).assign(status="failed")
    (result,) = ratio_trends(trials, "norm", "none")
    assert (result.answer, result.largest) == ("undecided", None)
    # The run has the sizes, but no trials at them.
    assert [n.kind for n in result.next_steps] == ["complete_blocks"]


def test_line_through_two_sizes_decides_nothing() -> None:
    trials = make_trials(MATRIX, blocks=5, seconds=times(fixed_s=1.0, marginal=1.4))
    (result,) = ratio_trends(trials[trials["examples"] != SIZES[1]], "norm", "none")
    assert (result.ratio_falls, result.cost_vanishes, result.answer) == ("yes", "no", "undecided")
    assert result.marginal_ratio is not None
    assert (result.marginal_ratio.low or 0) > 1.05
    assert result.sizes == (SIZES[0], SIZES[2])
    assert not result.lines_fit


def test_technique_that_costs_nothing_is_a_yes() -> None:
    """The ratio is 1 at every size: it does not fall, and nothing is to fall."""
    result = trend_of(times(fixed_s=0.1, marginal=1.0))
    assert (result.answer, result.ratio_falls, result.cost_vanishes) == ("yes", "no", "yes")


def test_small_cost_that_rises_needs_larger_sizes() -> None:
    result = trend_of(times(fixed_s=0.0, marginal=1.035, noise=0.001))
    assert (result.answer, result.cost_vanishes) == ("undecided", "yes")
    assert [(n.kind, n.amount) for n in result.next_steps] == [("larger_size", None)]


@pytest.mark.parametrize("cost", ["none", "2 to 0", "30 to 1"])
def test_cost_that_vanishes_is_never_a_no(cost: str) -> None:
    answers = answers_of(cost, "normal", blocks=5, runs=20)
    assert answers["no"] == 0
    assert answers["yes"] >= 16


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("blocks", [3, 5])
def test_wrong_answers_are_rare_at_the_margin(noise: str, blocks: int) -> None:
    """At a cost of exactly the margin, 2.5 % of each answer are expected."""
    answers = answers_of("5 at every size, the margin", noise, blocks=blocks, runs=60)
    assert max(answers["yes"], answers["no"]) <= 6  # 1 in 2,000 by chance


def epochs_of(trials: pd.DataFrame, at: Callable[[str, int], int | None]) -> pd.DataFrame:
    """Ten epochs per trial; accuracy passes 0.8 in epoch ``at(norm, block)``, or never."""
    rows: list[dict[str, Any]] = []
    for row in trials.itertuples():
        reached = at(str(row.norm), int(str(row.block)))
        for e in range(10):
            accuracy = 0.85 if reached is not None and e >= reached else 0.7
            rows.append(
                {
                    "trial_id": row.trial_id,
                    "epoch": e,
                    "epoch_s": row.epoch_s,
                    "val_accuracy": accuracy,
                }
            )
    return pd.DataFrame(rows)


def compare_targets(at: Callable[[str, int], int | None], blocks: int = 6) -> Any:
    cost = times(fixed_s=0.1 * 1.5, marginal=1.5)
    trials = make_trials({"norm": ["none", "bn_post"]}, blocks=blocks, seconds=cost)
    (result,) = target_comparisons(trials, epochs_of(trials, at), "norm", "none", 0.8)
    return result


def test_fewer_epochs_can_outweigh_slower_epochs() -> None:
    assert compare_targets(lambda norm, _: 1 if norm == "bn_post" else 7).answer == "yes"
    assert compare_targets(lambda _, block: 3 + block % 2).answer == "no"


def test_target_that_one_arm_never_reaches_is_decided() -> None:
    yes = compare_targets(lambda norm, _: 1 if norm == "bn_post" else None)
    assert (yes.answer, yes.times.value, yes.times.only_a) == ("yes", 0.0, 6)
    assert compare_targets(lambda norm, _: None if norm == "bn_post" else 9).answer == "no"
    few = compare_targets(lambda norm, _: 1 if norm == "bn_post" else None, blocks=5)
    assert few.answer == "undecided"
    assert [(n.kind, n.amount) for n in few.next_steps] == [("blocks", 1)]


def test_target_that_no_arm_reaches_needs_more_epochs() -> None:
    result = compare_targets(lambda _norm, _block: None)
    assert result.answer == "undecided"
    assert [n.kind for n in result.next_steps] == ["epochs"]
