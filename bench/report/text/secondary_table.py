"""Make the second table of a report: the secondary metrics that have values.

Usage:
    table = secondary_table(summary)          # None if the run has no secondary metrics
    data |= secondary_columns(summary)        # raw numbers, for the CSV
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.analysis.questions.secondary_metrics import COUNTS, MEANS, SHARES, Target
from bench.analysis.statistics.intervals import Estimate
from bench.analysis.statistics.time_to_accuracy import MIN_VALUES
from bench.analysis.summary import Summary
from bench.analysis.variant_summary import VariantSummary
from bench.records.metric import METRICS, Metric
from bench.report.text.footnotes import Footnote
from bench.report.text.number_text import UNKNOWN, Scale, interval, number, scale_of
from bench.report.text.summary_table import Table
from bench.report.text.table_cell import Cell

TITLE = "What else was measured"
NOT_REACHED = "not reached"
PERCENT = Scale(0.01, "%")

_METRICS = {
    **METRICS,
    "steps_per_epoch": Metric("steps_per_epoch", "Steps an epoch", "", "neither", 3),
    "input_wait_share": Metric("input_wait_share", "Waiting for input", "", "lower", 2),
    "clipped_share": Metric("clipped_share", "Clipped steps", "", "neither", 3),
    "skipped_share": Metric("skipped_share", "Skipped steps", "", "lower", 3),
}
_NOTES = {
    "cold_start_s": "Cold start: the first call of all compiled code; no epoch includes it.",
    "input_wait_share": (
        "Waiting for input: the share of the epochs' time in which steps waited for their batches."
    ),
    "clipped_share": (
        "Clipped steps: the share of all steps, including warm-up, in which clipping changed a "
        "gradient."
    ),
    "skipped_share": (
        "Skipped steps: the share of all steps that were not applied because a gradient was not "
        "finite."
    ),
}
_TARGET_NOTE = (
    "Time to accuracy: training time, without validation, until the validation accuracy reached "
    "the target: the median, to which trials that missed it contribute an infinite time, with an "
    f"interval of order statistics from {MIN_VALUES} trials on. If every trial reached it, the "
    "mean with its t interval stands beside it. With the cold start: the mean."
)
_Variants = Sequence[VariantSummary]
_Column = tuple[str, list[Cell]]


def secondary_table(summary: Summary) -> Table | None:
    """Return a table with one row per variant, or None without any column."""
    variants = summary.variants
    columns = [*_count_columns(variants), *_target_columns(variants), *_mean_columns(variants)]
    if not columns:
        return None
    columns.insert(0, ("Variant", [Cell(v.label) for v in variants]))
    return Table(
        headers=tuple(header for header, _ in columns),
        rows=tuple(zip(*(cells for _, cells in columns), strict=True)),
        notes=(),
    )


def secondary_notes(summary: Summary) -> Iterator[Footnote]:
    """Yield what the columns mean, where their headers do not say it."""
    if any(v.secondary_metrics.target for v in summary.variants):
        yield Footnote("time_to_accuracy", _TARGET_NOTE)
    for name, text in _NOTES.items():
        if _has_values(summary.variants, name):
            yield Footnote(name, text)


def secondary_columns(summary: Summary) -> dict[str, list[Any]]:
    """Return the columns that have values, as raw numbers in SI units."""
    variants = summary.variants
    data: dict[str, list[Any]] = {}
    for name in COUNTS:
        counts = [v.secondary_metrics.counts.get(name) for v in variants]
        if any(count is not None for count in counts):
            data[name] = counts
    targets = [v.secondary_metrics.target for v in variants]
    if any(targets):
        data["target_accuracy"] = [t and t.accuracy for t in targets]
        data["target_reached"] = [t and t.reached for t in targets]
        data["target_trials"] = [t and t.trials for t in targets]
        data["time_to_accuracy_s_median"] = [t and t.median_s for t in targets]
        data["time_to_accuracy_s_median_low"] = [t and t.low_s for t in targets]
        data["time_to_accuracy_s_median_high"] = [t and t.high_s for t in targets]
        for name, times in _times(targets).items():
            data |= estimate_columns(name, times)
    for name in MEANS:
        if _has_values(variants, name):
            data |= estimate_columns(name, [v.secondary_metrics.means.get(name) for v in variants])
    return data


def estimate_columns(name: str, estimates: Sequence[Estimate | None]) -> dict[str, list[Any]]:
    """Return one column each for the value, the interval's bounds and the number of values."""
    return {
        name: [e and e.value for e in estimates],
        f"{name}_low": [e and e.low for e in estimates],
        f"{name}_high": [e and e.high for e in estimates],
        f"{name}_n": [e.n if e else 0 for e in estimates],
    }


def _has_values(variants: _Variants, name: str) -> bool:
    return any(name in v.secondary_metrics.means for v in variants)


def _count_columns(variants: _Variants) -> Iterator[_Column]:
    for name in COUNTS:
        counts = [v.secondary_metrics.counts.get(name) for v in variants]
        if any(count is not None for count in counts):
            cells = [Cell(UNKNOWN if count is None else str(count)) for count in counts]
            yield _METRICS[name].title, cells


def _mean_columns(variants: _Variants) -> Iterator[_Column]:
    for name in MEANS:
        means = [v.secondary_metrics.means.get(name) for v in variants]
        if any(means):
            yield _column(_METRICS[name], means, PERCENT if name in SHARES else None)


def _target_columns(variants: _Variants) -> Iterator[_Column]:
    targets = [v.secondary_metrics.target for v in variants]
    if not any(targets):
        return
    yield "Target accuracy", [Cell(f"{t.accuracy:g}" if t else UNKNOWN) for t in targets]
    for name, times in _times(targets).items():
        medians = [t.median_s for t in targets if t and name == "time_to_accuracy_s"]
        scale = _scale(METRICS[name], times, filter(math.isfinite, medians))
        header, cells = _column(METRICS[name], times, scale)
        yield (
            header,
            [_target_cell(t, name, c, scale) for t, c in zip(targets, cells, strict=True)],
        )


def _times(targets: Sequence[Target | None]) -> dict[str, list[Estimate | None]]:
    return {
        "time_to_accuracy_s": [t.time_s if t else None for t in targets],
        "time_to_accuracy_with_cold_start_s": [t.with_cold_start_s if t else None for t in targets],
    }


def _target_cell(target: Target | None, name: str, mean: Cell, scale: Scale) -> Cell:
    """Return the cell of a target, given that of its mean time."""
    if target is None:
        return mean
    missed = target.reached < target.trials
    count = f"reached in {target.reached} of {target.trials}" if target.reached else NOT_REACHED
    if name != "time_to_accuracy_s":
        return Cell(count) if missed else mean
    digits = METRICS[name].digits
    median, low, high = (
        number(end, digits, scale) for end in (target.median_s, target.low_s, target.high_s)
    )
    text = median if target.low_s is None else f"{median} [{low}, {high}]"
    return Cell(f"{text} ({count})" if missed else f"{text}; mean {mean.text}")


def _column(
    metric: Metric, estimates: Sequence[Estimate | None], scale: Scale | None = None
) -> _Column:
    scale = scale or _scale(metric, estimates)
    return f"{metric.title} ({scale.unit})" if scale.unit else metric.title, [
        Cell(interval(e.value, e.low, e.high, metric.digits, scale) if e else UNKNOWN)
        for e in estimates
    ]


def _scale(
    metric: Metric, estimates: Sequence[Estimate | None], others: Iterable[float] = ()
) -> Scale:
    return scale_of((*(e.value for e in estimates if e), *others), metric)
