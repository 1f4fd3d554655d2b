"""What else is known of a variant than time and accuracy: sizes, clipping, targets reached.

Usage:
    done = with_steps(attempts, raw)
    found = secondary_metrics(done, trials)        # by variant id
    found[variant_id].counts["parameters"], found[variant_id].target.reached
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.analysis.loading.raw_records import RecordArrays
from bench.analysis.statistics.estimates import estimates
from bench.analysis.statistics.paired import Estimate
from bench.analysis.statistics.time_to_accuracy import ANSWERS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COUNTS = ("parameters", "steps_per_epoch", "flops_per_step")
"""What is the same in every trial of a variant."""
MEANS = (
    *("cold_start_s", "input_wait_share", "clipped_share", "skipped_share", "peak_rss_bytes"),
    *("peak_device_memory_bytes", "energy_j", "mean_power_w", "mfu"),
)
MEASURED_COLUMNS = (
    *("parameters", "flops_per_step", "cold_start_s", "peak_rss_bytes"),
    *("peak_device_memory_bytes", "energy_j", "mean_power_w", "mfu"),
    *("target_accuracy", "time_to_accuracy_s", "time_to_accuracy_with_cold_start_s"),
)
"""The columns of attempts that are needed, besides those of ``with_steps``."""
SHARES = frozenset({"clipped_share", "skipped_share", "input_wait_share"})
"""Parts of all steps, or of all time."""


@dataclass(frozen=True, slots=True)
class Target:
    """The validation accuracy that was asked for, and how many of the trials reached it."""

    accuracy: float
    reached: int
    trials: int
    """Those that completed or diverged: the others are no answer."""
    median_s: float
    """Training time until then, infinite in trials that did not reach it."""
    time_s: Estimate | None
    """Its mean; None unless all reached it, since the slowest would be left out."""
    with_cold_start_s: Estimate | None = None
    """The same with the first call of everything compiled before it."""


@dataclass(frozen=True, slots=True)
class SecondaryMetrics:
    """What is known of one variant; what is not in it was not measured."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """By names of ``COUNTS``."""
    means: Mapping[str, Estimate] = field(default_factory=dict)
    """By names of ``MEANS``."""
    target: Target | None = None
    """None where there is none, or no trial completed or diverged."""


NOTHING = SecondaryMetrics()


def with_steps(attempts: "pd.DataFrame", raw: RecordArrays) -> "pd.DataFrame":
    """``attempts``, a row for each of ``raw``, with what their epochs say of steps.

    Columns: steps_per_epoch; of all steps, warm-up included, clipped_share, the part in which
    clipping changed a gradient, and skipped_share, the part that was not applied; of all
    epochs' time input_wait_share, the part in which steps waited for their batches.
    """
    import numpy as np

    counts = raw.epoch_counts
    n = len(counts)
    trial = np.repeat(np.arange(n), counts)

    def total(name: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
        sums = np.bincount(trial, weights=raw.epochs[name], minlength=n)
        return np.where(counts > 0, sums, np.nan)

    steps = total("steps")
    return attempts.assign(
        steps_per_epoch=steps / np.maximum(counts, 1),
        clipped_share=total("clipped_steps") / np.maximum(steps, 1),
        skipped_share=total("skipped_steps") / np.maximum(steps, 1),
        input_wait_share=total("input_wait_s") / total("epoch_s"),
    )


def secondary_metrics(done: "pd.DataFrame", trials: "pd.DataFrame") -> dict[str, SecondaryMetrics]:
    """What the completed trials ``done`` of ``trials`` come to, by variant id."""
    counts = {name: _counts(done, name) for name in COUNTS}
    means = {name: estimates(done, name) for name in MEANS}
    targets = _targets(trials[trials["status"].isin(ANSWERS)])
    known = dict.fromkeys((*done["variant_id"].unique().tolist(), *targets))
    return {
        variant_id: SecondaryMetrics(
            counts={name: of[variant_id] for name, of in counts.items() if variant_id in of},
            means={name: of[variant_id] for name, of in means.items() if variant_id in of},
            target=targets.get(variant_id),
        )
        for variant_id in known
    }


def _counts(done: "pd.DataFrame", name: str) -> dict[str, int]:
    known = done[["variant_id", name]].dropna().drop_duplicates("variant_id")
    return {
        variant_id: round(value) for variant_id, value in known.itertuples(index=False, name=None)
    }


def _targets(answers: "pd.DataFrame") -> dict[str, Target]:
    import numpy as np

    asked = answers[answers["target_accuracy"].notna()]
    if asked.empty:
        return {}
    times = asked["time_to_accuracy_s"]
    asked = asked.assign(reached=np.isfinite(times), median_s=times)
    groups = asked.groupby("variant_id", sort=False)
    rows = groups.agg(
        accuracy=("target_accuracy", "first"),
        reached=("reached", "sum"),
        n=("reached", "size"),
        median_s=("median_s", "median"),
    )
    names = ("time_to_accuracy_s", "time_to_accuracy_with_cold_start_s")
    found = [estimates(asked[asked["reached"]], name) for name in names]
    return {
        variant_id: Target(
            accuracy,
            int(reached),
            int(n),
            float(median_s),
            *(times.get(variant_id) if reached == n else None for times in found),
        )
        for variant_id, accuracy, reached, n, median_s in rows.itertuples()
    }
