"""Tests of the secondary metrics: from records to counts, means and targets."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.questions.secondary_metrics import SecondaryMetrics, Target
from bench.analysis.statistics.intervals import geometric_interval, mean_interval
from bench.analysis.summary import summarize
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import TrialRecord
from tests.support.sample_records import NORMS, make_run

ONE = {**NORMS, "matrix": {"norm": ["none"]}, "compare": []}
STEPS = 1718
Epochs = Callable[[TrialRecord, EpochRecord], dict[str, Any]]


def metrics_of(
    path: Path, suite: dict[str, Any] = ONE, *, change: Any = lambda record: record
) -> Any:
    """Return the metrics of the only variant of ``suite``."""
    (variant,) = summarize(make_run(path, suite, change=change).path).variants
    metrics = variant.secondary_metrics
    assert isinstance(metrics, SecondaryMetrics)
    return metrics


def epochs_with(of_epoch: Epochs) -> Callable[[TrialRecord], TrialRecord]:
    def change(record: TrialRecord) -> TrialRecord:
        changed = tuple(e.model_copy(update=of_epoch(record, e)) for e in record.epochs)
        return record.model_copy(update={"epochs": changed})

    return change


def target(accuracy: float) -> dict[str, Any]:
    return {**ONE, "variant": {"epochs": 3, "target_accuracy": accuracy}}


def test_counts_are_those_of_the_model(tmp_path: Path) -> None:
    assert metrics_of(tmp_path / "run").counts == {"parameters": 266_610, "steps_per_epoch": STEPS}


def test_cold_start_has_a_geometric_mean(tmp_path: Path) -> None:
    def cold(record: TrialRecord) -> TrialRecord:
        measures = record.measures.model_copy(update={"cold_start_s": 10.0**record.trial.block})
        return record.model_copy(update={"measures": measures})

    metrics = metrics_of(tmp_path / "run", change=cold).means["cold_start_s"]
    expected = geometric_interval([1.0, 10.0, 100.0])
    assert (metrics.value, metrics.low, metrics.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )


def test_clipped_share_is_of_all_steps_of_a_trial(tmp_path: Path) -> None:
    clipped = epochs_with(lambda r, e: {"clipped_steps": 100 * r.trial.block + e.epoch})
    metrics = metrics_of(tmp_path / "run", change=clipped).means["clipped_share"]
    expected = mean_interval([(300 * block + 3) / (3 * STEPS) for block in range(3)])
    assert (metrics.value, metrics.n) == pytest.approx((expected.value, 3))
    assert expected.low is not None and expected.low < 0  # before clamping
    assert (metrics.low, metrics.high) == pytest.approx((0, expected.high))


def test_share_is_at_most_one(tmp_path: Path) -> None:
    clipped = epochs_with(lambda r, _: {"clipped_steps": STEPS if r.trial.block else STEPS - 400})
    assert metrics_of(tmp_path / "run", change=clipped).means["clipped_share"].high == 1


def test_skipped_share_is_of_all_steps_of_a_trial(tmp_path: Path) -> None:
    skipped = epochs_with(lambda _, e: {"skipped_steps": 2 if e.epoch == 0 else 1})
    metrics = metrics_of(tmp_path / "run", change=skipped).means["skipped_share"]
    assert (metrics.value, metrics.low, metrics.high) == pytest.approx((4 / (3 * STEPS),) * 3)


def test_metrics_that_were_not_measured_are_missing(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path / "run")
    assert set(metrics.means) == {"cold_start_s", "peak_rss_bytes"}
    assert metrics.target is None


def test_target_that_every_trial_reached_has_a_mean_time(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path / "run", target(0.8)).target
    assert metrics is not None
    # Every block reaches the target in its second epoch: 0.8, 0.801, 0.802.
    expected = geometric_interval([1.001 + 0.02 * block for block in range(3)])
    assert (metrics.accuracy, metrics.reached, metrics.trials) == (0.8, 3, 3)
    assert (metrics.time_s.value, metrics.time_s.low) == pytest.approx(
        (expected.value, expected.low)
    )
    assert metrics.with_cold_start_s.value > metrics.time_s.value


def test_target_that_some_trials_missed_has_only_a_median_time(tmp_path: Path) -> None:
    # The blocks end at 0.81, 0.811 and 0.812.
    some = metrics_of(tmp_path / "some", target(0.811)).target
    assert some == Target(0.811, 2, 3, some.median_s, None)
    assert math.isfinite(some.median_s)
    none = metrics_of(tmp_path / "none", target(0.9)).target
    assert none == Target(0.9, 0, 3, math.inf, None)


def test_median_time_has_an_interval_from_six_trials_on(tmp_path: Path) -> None:
    five, six = (
        metrics_of(tmp_path / f"{blocks}", {**target(0.8), "blocks": blocks}).target
        for blocks in (5, 6)
    )
    assert (five.low_s, five.high_s) == (None, None)
    # Block by block 1.001, 1.021, ... seconds: the ends of six are the extremes.
    assert (six.low_s, six.high_s) == pytest.approx((1.001, 1.101))


def test_diverged_trial_did_not_reach_the_target(tmp_path: Path) -> None:
    failure = {"status": "diverged", "error": "the loss was nan", "epochs": ()}

    def change(record: TrialRecord) -> TrialRecord:
        return record.model_copy(update=failure) if record.trial.block else record

    metrics = metrics_of(tmp_path / "run", target(0.8), change=change).target
    assert metrics == Target(0.8, 1, 3, math.inf, None)


def test_failed_trials_are_ignored(tmp_path: Path) -> None:
    failure = {"status": "diverged", "error": "the loss was nan"}
    metrics = metrics_of(tmp_path / "run", change=lambda record: record.model_copy(update=failure))
    assert metrics == SecondaryMetrics()
