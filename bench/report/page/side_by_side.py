"""Compare several runs side by side: epoch time and accuracy of their common variants.

Usage:
    grid = side_by_side(runs)          # None if no two runs share a variant
"""

from collections.abc import Sequence

from bench.records.metric import METRICS
from bench.report.charts.report_data import ReportData
from bench.report.page.page_grid import Column, Grid
from bench.report.text.number_text import UNKNOWN, interval, scale_of

SHOWN = ("epoch_s", "test_accuracy")


def side_by_side(runs: Sequence[ReportData]) -> Grid | None:
    """Return one row per variant that at least two runs have, and columns for each run."""
    labels: dict[str, str] = {}
    counts: dict[str, int] = {}
    for run in runs:
        for v in run.summary.variants:
            labels.setdefault(v.variant_id, v.label)
            counts[v.variant_id] = counts.get(v.variant_id, 0) + 1
    shared = [variant_id for variant_id, count in counts.items() if count > 1]
    if not shared:
        return None
    columns = [Column("Variant", [labels[v] for v in shared])]
    for name in SHOWN:
        columns += _columns(name, runs, shared)
    return Grid("side-by-side", "The same variants in each run", tuple(columns))


def _columns(name: str, runs: Sequence[ReportData], shared: list[str]) -> list[Column]:
    metric = METRICS[name]
    estimates = [{v.variant_id: getattr(v, name) for v in run.summary.variants} for run in runs]
    capped = [{v.variant_id for v in run.summary.variants if v.capped_steps} for run in runs]
    scale = scale_of((e.value for by_id in estimates for e in by_id.values() if e), metric)
    unit = f" ({scale.unit})" if scale.unit else ""
    return [
        Column(
            f"{metric.title}{unit}, {run.name}",
            [
                _text(interval(e.value, e.low, e.high, metric.digits, scale), variant_id in cut)
                if (e := by_id.get(variant_id))
                else UNKNOWN
                for variant_id in shared
            ],
            numeric=True,
        )
        for run, by_id, cut in zip(runs, estimates, capped, strict=True)
        if any(by_id.values())
    ]


def _text(numbers: str, cut_short: bool) -> str:
    return f"{numbers} (of epochs cut short)" if cut_short else numbers
