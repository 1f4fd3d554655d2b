"""Summarise what else is known of a variant: sizes, clipping, memory, energy, targets reached.

Usage:
    attempts = with_step_shares(attempts, raw)
    metrics = secondary_metrics(completed, trials)        # by variant id
    metrics[variant_id].counts["parameters"], metrics[variant_id].target.reached
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.loading.record_arrays import RecordArrays
from bench.analysis.statistics.intervals import Estimate
from bench.analysis.statistics.time_to_accuracy import CONCLUSIVE_STATUSES, median_interval
from bench.analysis.statistics.variant_averages import estimates

COUNTS = ("parameters", "steps_per_epoch", "flops_per_step")
"""Values that are equal in every trial of a variant."""
MEANS = (
    *("cold_start_s", "input_wait_share", "clipped_share", "skipped_share", "peak_rss_bytes"),
    *("peak_device_memory_bytes", "energy_j", "mean_power_w", "mfu"),
)
MEASURED_COLUMNS = (
    *("parameters", "flops_per_step", "cold_start_s", "peak_rss_bytes"),
    *("peak_device_memory_bytes", "energy_j", "mean_power_w", "mfu"),
    *("target_accuracy", "time_to_accuracy_s", "time_to_accuracy_with_cold_start_s"),
)
"""The columns of attempts that are needed besides those of ``with_step_shares``."""
SHARES = frozenset({"clipped_share", "skipped_share", "input_wait_share"})
"""Fractions of all steps, or of all time."""


@dataclass(frozen=True, slots=True)
class Target:
    """A variant's target validation accuracy, and how many of its trials reached it."""

    accuracy: float
    reached: int
    trials: int
    """Trials that completed or diverged; others are inconclusive."""
    median_s: float
    """Training time to the target; infinite in trials that did not reach it."""
    time_s: Estimate | None
    """Mean training time, beside the median; None unless all trials reached the target, or the
    slowest would be left out."""
    with_cold_start_s: Estimate | None = None
    """The mean time including the first call of each compiled function."""
    low_s: float | None = None
    """The ends of the median's interval, of order statistics; None below six trials, and with
    several sessions, in which trials are not independent."""
    high_s: float | None = None


@dataclass(frozen=True, slots=True)
class SecondaryMetrics:
    """The metrics of one variant; a missing name was not measured."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """By name in ``COUNTS``."""
    means: Mapping[str, Estimate] = field(default_factory=dict)
    """By name in ``MEANS``."""
    target: Target | None = None
    """None without a target, or if no trial completed or diverged."""


NO_METRICS = SecondaryMetrics()


def with_step_shares(attempts: pd.DataFrame, raw: RecordArrays) -> pd.DataFrame:
    """Add what the epochs say about steps to ``attempts``, which has one row for each of ``raw``.

    Adds steps_per_epoch; clipped_share, the fraction of all steps, warm-up included, in which
    clipping changed a gradient; skipped_share, the fraction of steps that were not applied; and
    input_wait_share, the fraction of all epochs' time in which steps waited for their batches.
    """
    counts = raw.epoch_counts
    n = len(counts)
    trial = np.repeat(np.arange(n), counts)

    def total(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        sums = np.bincount(trial, weights=raw.epochs[name], minlength=n)
        return np.where(counts > 0, sums, np.nan)

    steps = total("steps")
    return attempts.assign(
        steps_per_epoch=steps / np.maximum(counts, 1),
        clipped_share=total("clipped_steps") / np.maximum(steps, 1),
        skipped_share=total("skipped_steps") / np.maximum(steps, 1),
        input_wait_share=total("input_wait_s") / total("epoch_s"),
    )


def secondary_metrics(completed: pd.DataFrame, trials: pd.DataFrame) -> dict[str, SecondaryMetrics]:
    """Return the metrics by variant id: of ``completed`` trials, and targets of all ``trials``."""
    counts = {name: _counts(completed, name) for name in COUNTS}
    means = {name: estimates(completed, name) for name in MEANS}
    targets = _targets(trials[trials["status"].isin(CONCLUSIVE_STATUSES)])
    known = dict.fromkeys((*completed["variant_id"].unique().tolist(), *targets))
    return {
        variant_id: SecondaryMetrics(
            counts={name: of[variant_id] for name, of in counts.items() if variant_id in of},
            means={name: of[variant_id] for name, of in means.items() if variant_id in of},
            target=targets.get(variant_id),
        )
        for variant_id in known
    }


def _counts(completed: pd.DataFrame, name: str) -> dict[str, int]:
    known = completed[["variant_id", name]].dropna().drop_duplicates("variant_id")
    return {
        variant_id: round(value) for variant_id, value in known.itertuples(index=False, name=None)
    }


def _targets(conclusive: pd.DataFrame) -> dict[str, Target]:
    with_target = conclusive[conclusive["target_accuracy"].notna()]
    if with_target.empty:
        return {}
    times = with_target["time_to_accuracy_s"]
    with_target = with_target.assign(reached=np.isfinite(times))
    names = ("time_to_accuracy_s", "time_to_accuracy_with_cold_start_s")
    mean_times = [estimates(with_target[with_target["reached"]], name) for name in names]
    targets = {}
    for variant_id, rows in with_target.groupby("variant_id", sort=False):
        median = median_interval(rows["time_to_accuracy_s"].to_numpy())
        time_s, with_cold_start_s = (
            means.get(str(variant_id)) if median.reached == median.n else None
            for means in mean_times
        )
        has_interval = rows["session"].nunique() == 1
        targets[str(variant_id)] = Target(
            accuracy=float(rows["target_accuracy"].iloc[0]),
            reached=median.reached,
            trials=median.n,
            median_s=median.value,
            low_s=median.low if has_interval else None,
            high_s=median.high if has_interval else None,
            time_s=time_s,
            with_cold_start_s=with_cold_start_s,
        )
    return targets
