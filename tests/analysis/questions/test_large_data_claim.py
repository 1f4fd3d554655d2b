"""Both readings of the claim, on data in which the answer is known."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.analysis.questions.large_data_claim import RatioTrend, ratio_trends, target_comparisons
from bench.analysis.questions.next_steps import steps_for_trend
from bench.analysis.statistics.paired import ratio
from tests.support.sample_frames import Seconds, made_trials

SIZES = [64_000, 640_000, 6_400_000]
MATRIX: dict[str, Sequence[Any]] = {"norm": ["none", "bn_post"], "examples": SIZES}


def times(fixed_s: float, marginal: float, noise: float = 0.005) -> Seconds:
    """Epochs of 0.1 s and 1 us an example; with BN ``fixed_s`` and ``marginal`` us instead."""

    def seconds(row: Mapping[str, Any], rng: np.random.Generator) -> float:
        with_bn = row["norm"] == "bn_post"
        exact = (fixed_s if with_bn else 0.1) + 1e-6 * row["examples"] * (
            marginal if with_bn else 1
        )
        return float(exact * math.exp(rng.normal(0, noise)))

    return seconds


def asked(seconds: Seconds, blocks: int = 5) -> RatioTrend:
    (found,) = ratio_trends(made_trials(MATRIX, blocks=blocks, seconds=seconds), "norm", "none")
    return found


def test_a_fixed_cost_alone_falls_toward_one() -> None:
    found = asked(times(fixed_s=0.3, marginal=1.0))
    assert (found.answer, found.falls, found.vanishes) == ("yes", "yes", "yes")
    assert found.decided_by == ()
    assert found.smallest is not None and found.smallest.ratio is not None
    assert found.smallest.ratio.value > 2


def test_a_cost_of_each_example_does_not() -> None:
    found = asked(times(fixed_s=0.1 * 1.9, marginal=1.9))
    assert (found.answer, found.falls, found.vanishes) == ("no", "no", "no")
    assert found.marginal_ratio is not None
    assert found.marginal_ratio.value == pytest.approx(1.9, rel=0.02)


def test_one_that_falls_but_levels_off_above_one_does_not() -> None:
    found = asked(times(fixed_s=1.0, marginal=1.4))
    assert (found.answer, found.falls, found.vanishes) == ("no", "yes", "no")


def test_one_that_falls_but_is_not_there_yet_needs_larger_sizes() -> None:
    found = asked(times(fixed_s=3.0, marginal=1.0))
    assert (found.answer, found.falls, found.vanishes) == ("undecided", "yes", "no")
    (needed,) = found.decided_by
    assert needed.kind == "larger_size"
    assert needed.amount is not None
    # (3 + n) / (0.1 + n) = 1.05 where n is 57.9 s' worth of examples.
    assert needed.amount == pytest.approx(57.9e6, rel=0.5)


def test_noise_is_undecided_and_says_how_many_blocks_more() -> None:
    found = asked(times(fixed_s=0.15, marginal=1.0, noise=0.5), blocks=3)
    assert found.answer == "undecided"
    assert {n.kind for n in found.decided_by} == {"blocks"}
    assert all(n.amount is not None and n.amount > 0 for n in found.decided_by)


def test_one_size_says_nothing_of_a_trend() -> None:
    trials = made_trials({"norm": ["none", "bn_post"]}, blocks=3, seconds=times(0.1, 1.0))
    (found,) = ratio_trends(trials, "norm", "none")
    assert (found.answer, found.falls, found.per_tenfold) == ("undecided", "undecided", None)
    assert [n.kind for n in found.decided_by] == ["sizes"]


def test_nothing_that_completed_is_undecided() -> None:
    trials = made_trials(MATRIX, blocks=3, seconds=times(0.1, 1.0)).assign(status="failed")
    (found,) = ratio_trends(trials, "norm", "none")
    assert (found.answer, found.largest) == ("undecided", None)
    # The sizes are there; what lacks are trials at them.
    assert [n.kind for n in found.decided_by] == ["settled_blocks"]


def test_a_line_through_two_sizes_decides_nothing() -> None:
    trials = made_trials(MATRIX, blocks=5, seconds=times(fixed_s=1.0, marginal=1.4))
    (found,) = ratio_trends(trials[trials["examples"] != SIZES[1]], "norm", "none")
    assert (found.falls, found.vanishes, found.answer) == ("yes", "no", "undecided")
    assert found.marginal_ratio is not None
    assert (found.marginal_ratio.low or 0) > 1.05
    assert found.sizes == (SIZES[0], SIZES[2])
    assert not found.fits


@pytest.mark.parametrize("value", [0.9, 0.96, 0.975, 0.99, 1.2])
def test_the_blocks_that_are_asked_for_would_decide(value: float) -> None:
    """An interval around the same ratio as narrow as theirs lies on one side of a bound."""
    over_range = ratio(4, math.log(value), 0.2, 4, 1)
    (needed,) = steps_for_trend("undecided", "yes", over_range, None, None, 0.05, 3)
    assert needed.amount is not None
    n = 4 + needed.amount
    half = float(stats.t.ppf(0.975, n - 1)) * 0.2 / math.sqrt(n)
    assert math.log(value) + half < 0 or math.log(value) - half > -math.log(1.05)


def test_each_kind_is_asked_for_once() -> None:
    over_range = ratio(4, math.log(0.9), 0.2, 4, 1)
    largest = asked(times(0.1, 1.0)).largest
    assert largest is not None
    point = dataclasses.replace(largest, deviation=None)
    needed = steps_for_trend("undecided", "undecided", over_range, point, None, 0.05, 3)
    assert [n.kind for n in needed] == ["blocks"]
    assert needed[0].amount is not None


@pytest.mark.slow
def test_a_wrong_yes_is_rare_at_the_edge_of_the_margin() -> None:
    wrong = 0
    for seed in range(30):
        edge = times(fixed_s=0.3, marginal=1.05, noise=0.01)
        trials = made_trials(MATRIX, blocks=5, seconds=edge, seed=seed)
        wrong += ratio_trends(trials, "norm", "none")[0].answer == "yes"
    assert wrong <= 4  # 2.5 % are expected; more than 4 of 30 come once in 1,200 times


def epochs_of(trials: pd.DataFrame, at: Callable[[str, int], int | None]) -> pd.DataFrame:
    """Ten epochs a trial; accuracy passes 0.8 in epoch ``at(norm, block)``, or never."""
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


def sooner(at: Callable[[str, int], int | None], blocks: int = 6) -> Any:
    cost = times(fixed_s=0.1 * 1.5, marginal=1.5)
    trials = made_trials({"norm": ["none", "bn_post"]}, blocks=blocks, seconds=cost)
    (found,) = target_comparisons(trials, epochs_of(trials, at), "norm", "none", 0.8)
    return found


def test_fewer_epochs_can_outweigh_slower_ones() -> None:
    assert sooner(lambda norm, _: 1 if norm == "bn_post" else 7).answer == "yes"
    assert sooner(lambda _, block: 3 + block % 2).answer == "no"


def test_a_target_that_one_arm_never_reaches_is_decided_by_that() -> None:
    yes = sooner(lambda norm, _: 1 if norm == "bn_post" else None)
    assert (yes.answer, yes.times.value, yes.times.only_a) == ("yes", 0.0, 6)
    assert sooner(lambda norm, _: None if norm == "bn_post" else 9).answer == "no"
    few = sooner(lambda norm, _: 1 if norm == "bn_post" else None, blocks=5)
    assert few.answer == "undecided"
    assert [(n.kind, n.amount) for n in few.decided_by] == [("blocks", 1)]


def test_a_target_that_no_arm_reaches_needs_more_epochs() -> None:
    found = sooner(lambda _norm, _block: None)
    assert found.answer == "undecided"
    assert [n.kind for n in found.decided_by] == ["epochs"]
