"""Tests that no variant on the frontier is beaten, and every other one is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.questions.frontier import clearly_dominated, frontier
from bench.analysis.statistics.intervals import Estimate
from tests.support.sample_frames import make_trials

ACTIVATIONS = ["relu", "elu", "selu", "gelu", "tanh", "sigmoid"]
SHAPE = make_trials({"activation": ACTIVATIONS}, blocks=2, seconds=lambda _row, _rng: 1.0)


def with_points(points: list[tuple[float, float]]) -> pd.DataFrame:
    index = [ACTIVATIONS.index(a) for a in SHAPE["activation"]]
    rows = SHAPE[[i < len(points) for i in index]]
    row_points = [points[i] for i in index if i < len(points)]
    return rows.assign(train_s=[p[0] for p in row_points], test_accuracy=[p[1] for p in row_points])


@given(
    st.lists(
        st.tuples(st.floats(0.1, 100), st.floats(0.1, 1)),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_no_variant_on_the_frontier_is_beaten_and_all_others_are(
    points: list[tuple[float, float]],
) -> None:
    by_activation = {c.label.removeprefix("activation="): c for c in frontier(with_points(points))}
    for name, (seconds, accuracy) in zip(ACTIVATIONS, points, strict=False):
        # Points that differ only by rounding in the mean of logarithms are skipped.
        beaten = any(
            (s <= seconds * (1 - 1e-9) and a >= accuracy) or (s <= seconds and a > accuracy + 1e-9)
            for s, a in points
        )
        near = any(abs(s / seconds - 1) < 1e-9 for s, a in points if (s, a) != (seconds, accuracy))
        if not near:
            assert by_activation[name].on_frontier is not beaten
        assert (by_activation[name].dominated_by is None) is by_activation[name].on_frontier


def test_clearly_dominated_variants_have_separate_intervals() -> None:
    def seconds(row: Mapping[str, Any], rng: np.random.Generator) -> float:
        slow = {"relu": 1.0, "elu": 2.0}[row["activation"]]
        return float(slow * np.exp(rng.normal(0, 0.01)))

    trials = make_trials({"activation": ["relu", "elu"]}, blocks=5, seconds=seconds)
    rng = np.random.default_rng(1).normal(0, 0.001, len(trials))
    trials["test_accuracy"] = np.where(trials["activation"] == "relu", 0.9, 0.8) + rng
    relu, elu = frontier(trials)
    assert (relu.on_frontier, relu.clearly_dominated) == (True, False)
    assert (elu.on_frontier, elu.clearly_dominated, elu.dominated_by) == (
        False,
        True,
        relu.variant_id,
    )
    overlapping = trials.assign(test_accuracy=0.8 + 10 * rng)
    assert not any(c.clearly_dominated for c in frontier(overlapping))


def test_failed_trials_are_counted_and_enter_no_mean() -> None:
    trials = with_points([(1.0, 0.8), (2.0, 0.9)])
    trials.loc[trials.index[0], ["train_s", "test_accuracy"]] = 50.0, 0.1
    trials.loc[trials.index[0], "status"] = "diverged"
    first = frontier(trials)[0]
    assert (first.seconds.value, first.accuracy.value) == pytest.approx((1.0, 0.8))
    assert first.statuses == {"diverged": 1}


def test_meaningless_accuracies_are_left_out() -> None:
    trials = with_points([(1.0, 0.8), (2.0, 0.9)])
    assert frontier(trials.assign(dataset="synthetic")) == ()
    assert frontier(trials.assign(communication="none", replicas=2)) == ()
    assert len(frontier(trials.assign(communication="none"))) == 2


BOUNDS = st.tuples(st.integers(1, 6), st.integers(1, 6)).map(sorted)
ESTIMATES = st.one_of(
    BOUNDS.map(lambda b: Estimate(sum(b) / 2, float(b[0]), float(b[1]), 3)),
    st.integers(1, 6).map(lambda value: Estimate(float(value), None, None, 1)),
)


@given(st.lists(st.tuples(ESTIMATES, ESTIMATES), max_size=8))
def test_clearly_dominated_means_no_interval_overlaps(
    pairs: list[tuple[Estimate, Estimate]],
) -> None:
    def beats(winner: tuple[Estimate, Estimate], loser: tuple[Estimate, Estimate]) -> bool:
        slowest, least = winner[0].high, winner[1].low
        quickest, most = loser[0].low, loser[1].high
        if slowest is None or least is None or quickest is None or most is None:
            return False
        return slowest < quickest and least > most

    assert clearly_dominated(pairs) == [any(beats(w, each) for w in pairs) for each in pairs]
