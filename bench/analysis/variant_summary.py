"""Summarise the trials of each variant of a run in one row.

Usage:
    rows = variant_summaries(info, blocks, trials, completed, timed, cells, scaled, raw)
"""

from dataclasses import dataclass

import pandas as pd

from bench.analysis.comparison.compare import Comparison
from bench.analysis.comparison.comparison_columns import (
    ComparisonCells,
    by_variant,
)
from bench.analysis.comparison.planned_blocks import BlocksByVariant
from bench.analysis.loading.record_arrays import RecordArrays
from bench.analysis.loading.trial_filters import (
    examples_used,
    has_silent_replicas,
    is_timed,
    is_unsteady,
)
from bench.analysis.questions.device_remarks import (
    SlowJit,
    SlowPrecision,
    slow_jits,
    slow_precisions,
)
from bench.analysis.questions.norm_remarks import NormRemark, norm_remarks
from bench.analysis.questions.scaling import Scaling
from bench.analysis.questions.secondary_metrics import (
    NO_METRICS,
    SecondaryMetrics,
    secondary_metrics,
)
from bench.analysis.statistics.capped_epochs import capped_epochs
from bench.analysis.statistics.intervals import Estimate, rate
from bench.analysis.statistics.variant_averages import estimates
from bench.records.run_info import RunInfo
from bench.records.trial_record import MAX_TAKEN_SHARE


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Trials of a variant with the same unsuccessful status, and the reason of the first."""

    status: str
    count: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class CpuContention:
    """Trials of a variant whose cores other processes used by more than ``MAX_TAKEN_SHARE``."""

    count: int
    largest_share: float
    """Share of the cores' time that other processes used, in the worst of these trials."""


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """The results of a variant over its completed trials; None if there are none."""

    variant_id: str
    label: str
    planned: int
    completed: int
    epoch_s: Estimate | None
    examples_per_s: Estimate | None
    """The examples of an epoch over ``epoch_s``, so that the two always agree."""
    val_accuracy: Estimate | None
    test_accuracy: Estimate | None
    comparisons: tuple[Comparison | None, ...]
    """One per column of the summary."""
    baseline_of: tuple[bool, ...]
    """For each column of the summary, whether the variant is its baseline."""
    replicas: int | None
    """Devices of all workers; None if no trial has a record."""
    scaling: Scaling | None
    """Efficiencies; None if nothing in the run has several replicas."""
    failures: tuple[FailureGroup, ...]
    warnings: tuple[str, ...]
    """Warnings of its completed trials, each text once."""
    examples: int | None
    """Training examples in an epoch; None if no trial has a record."""
    synthetic: bool
    """Trained on synthetic data, so its accuracy means nothing."""
    silent: bool
    """Trained by replicas that did not communicate, so its accuracy means nothing."""
    throttled: int
    """Completed trials in which the device was throttled."""
    cpu_contention: CpuContention | None
    """Completed trials whose cores other processes used heavily; None if there are none."""
    untimed: int
    """Completed trials without an epoch time: ``max_steps`` left no window to extrapolate from."""
    unsettled: int
    """Trials whose epochs, or windows, drifted or never settled; they count."""
    capped_steps: tuple[int, int] | None
    """The steps that ran in an epoch, and those of a whole epoch; None if all ran."""
    slow_precision: SlowPrecision | None
    """Its precision, if a device has no hardware units for it."""
    slow_jit: SlowJit | None
    """Its JIT mode, if that is slow on its device."""
    norms: NormRemark | None
    """A remark on its norms, if there is one."""
    secondary_metrics: SecondaryMetrics
    """Sizes, clipping, cold start, time to a target."""


def variant_summaries(
    info: RunInfo,
    blocks: BlocksByVariant,
    trials: pd.DataFrame,
    completed: pd.DataFrame,
    timed: pd.DataFrame,
    cells: ComparisonCells,
    scaled: dict[str, Scaling],
    raw: RecordArrays,
) -> tuple[VariantSummary, ...]:
    """Return the results of each variant, in the order of the suite.

    ``blocks`` are the planned ones, ``trials`` the last attempts at all trials, ``completed`` those
    that completed, ``timed`` those of these with a time; ``cells`` and ``scaled`` are their
    comparisons.
    """
    variants = trials.drop_duplicates("variant_id").set_index("variant_id")
    labels = {**info.labels, **by_variant(variants["label"])}
    epoch_s = estimates(timed, "epoch_s")
    val_accuracy, test_accuracy = (
        estimates(completed, name) for name in ("val_accuracy", "test_accuracy")
    )
    n_completed = _count_by_variant(completed)
    n_throttled = _count_by_variant(completed[completed["throttled"].fillna(False)])
    n_untimed = _count_by_variant(completed[~is_timed(completed)])
    n_unsettled = _count_by_variant(completed[is_unsteady(completed)])
    examples, used_examples = by_variant(variants["examples"]), by_variant(examples_used(variants))
    replicas = by_variant(variants["workers"] * variants["replicas"])
    synthetic = by_variant(variants["dataset"] == "synthetic")
    silent = by_variant(has_silent_replicas(variants))
    slow_precision = slow_precisions(completed, raw.settings, info.invocations)
    slow_jit = slow_jits(completed, raw.settings)
    norms, warnings = norm_remarks(completed, raw.settings), _warnings(completed, raw)
    contention, capped = _cpu_contention(completed), _capped_steps(variants)
    failures, metrics = _failures(trials), secondary_metrics(completed, trials)
    return tuple(
        VariantSummary(
            variant_id=variant_id,
            label=label,
            planned=sum(blocks.get(variant_id, {}).values()),
            completed=n_completed.get(variant_id, 0),
            epoch_s=epoch_s.get(variant_id),
            examples_per_s=rate(used_examples[variant_id], epoch_s[variant_id])
            if variant_id in epoch_s
            else None,
            val_accuracy=val_accuracy.get(variant_id),
            test_accuracy=test_accuracy.get(variant_id),
            comparisons=cells.row_of(variant_id),
            baseline_of=cells.baseline_of(variant_id),
            replicas=replicas.get(variant_id),
            scaling=scaled.get(variant_id),
            failures=tuple(failures.get(variant_id, ())),
            warnings=warnings.get(variant_id, ()),
            examples=examples.get(variant_id),
            synthetic=synthetic.get(variant_id, False),
            silent=silent.get(variant_id, False),
            throttled=n_throttled.get(variant_id, 0),
            cpu_contention=contention.get(variant_id),
            untimed=n_untimed.get(variant_id, 0),
            unsettled=n_unsettled.get(variant_id, 0),
            capped_steps=capped.get(variant_id),
            slow_precision=slow_precision.get(variant_id),
            slow_jit=slow_jit.get(variant_id),
            norms=norms.get(variant_id),
            secondary_metrics=metrics.get(variant_id, NO_METRICS),
        )
        for variant_id, label in labels.items()
    )


def _count_by_variant(trials: pd.DataFrame) -> dict[str, int]:
    return by_variant(trials["variant_id"].value_counts())


def _warnings(completed: pd.DataFrame, raw: RecordArrays) -> dict[str, tuple[str, ...]]:
    """Return the warnings by variant id; ``completed`` has the rows of ``raw`` as its index."""
    by_variant_id: dict[str, dict[str, None]] = {}
    variant_ids = completed["variant_id"].to_dict()
    for row, texts in sorted(raw.warnings.items()):
        if row in variant_ids:
            by_variant_id.setdefault(variant_ids[row], {}).update(dict.fromkeys(texts))
    return {variant_id: tuple(texts) for variant_id, texts in by_variant_id.items()}


def _cpu_contention(completed: pd.DataFrame) -> dict[str, CpuContention]:
    """Return the contention by variant id, where completed trials ran on a busy machine."""
    busy = completed[completed["cpu_taken_share"] > MAX_TAKEN_SHARE]
    shares = busy.groupby("variant_id")["cpu_taken_share"].agg(["size", "max"])
    return {
        str(v): CpuContention(int(count), float(most)) for v, count, most in shares.itertuples()
    }


def _capped_steps(variants: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return run and total steps by variant id, where ``max_steps`` cut epochs short."""
    capped = capped_epochs(variants)[["run_steps", "epoch_steps"]]
    return {variant_id: (steps, total) for variant_id, steps, total in capped.itertuples()}


def _failures(trials: pd.DataFrame) -> dict[str, list[FailureGroup]]:
    failed = trials[trials["status"] != "completed"]
    groups = failed.groupby(["variant_id", "status"], sort=False)["error"]
    by_variant_id: dict[str, list[FailureGroup]] = {}
    for (variant_id, status), count, reason in groups.agg(["size", "first"]).itertuples():
        text = reason if isinstance(reason, str) else None
        by_variant_id.setdefault(variant_id, []).append(FailureGroup(status, int(count), text))
    return by_variant_id
