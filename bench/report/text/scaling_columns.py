"""Make the table columns that show how a run scales over devices.

Usage:
    for header, cells in scaling_columns(summary, variants, notes): ...
"""

import dataclasses
from collections.abc import Iterator, Sequence

from bench.analysis.statistics.intervals import Estimate
from bench.analysis.summary import Summary
from bench.analysis.variant_summary import VariantSummary
from bench.records.metric import METRICS
from bench.report.text import footnotes
from bench.report.text.footnotes import Footnotes
from bench.report.text.number_text import UNKNOWN, interval, scale_of
from bench.report.text.table_cell import Cell

TITLES = {
    "strong_over_same_strategy": "Strong efficiency ÷ same strategy at N=1",
    "strong_over_one_device": "Strong efficiency ÷ one device",
    "weak_over_same_strategy": "Weak efficiency ÷ same strategy at N=1",
    "weak_over_one_device": "Weak efficiency ÷ one device",
    "communication": "Communication share",
}
TRANSPORT = "NCCL transport"
DIGITS = 3


def per_device_throughput(variant: VariantSummary) -> Estimate | None:
    """Return examples per second per device, or None if either number is unknown."""
    total, n = variant.examples_per_s, variant.replicas
    if total is None or n is None:
        return None
    low, high = (None if bound is None else bound / n for bound in (total.low, total.high))
    return dataclasses.replace(total, value=total.value / n, low=low, high=high)


def scaling_columns(
    summary: Summary, variants: Sequence[VariantSummary], notes: Footnotes
) -> Iterator[tuple[str, list[Cell]]]:
    """Yield the header and the cells of each column for which ``summary`` has a value."""
    if summary.scaling_columns:
        yield "N", [Cell(UNKNOWN if v.replicas is None else str(v.replicas)) for v in variants]
        yield _per_device_column(variants, notes)
    transports = [", ".join(v.scaling.transports) if v.scaling else "" for v in variants]
    if any(transports):
        yield TRANSPORT, [Cell(text or UNKNOWN) for text in transports]
    for name in summary.scaling_columns:
        yield TITLES[name], [_share_cell(name, v, notes) for v in variants]


def _per_device_column(
    variants: Sequence[VariantSummary], notes: Footnotes
) -> tuple[str, list[Cell]]:
    metric = METRICS["examples_per_s"]
    estimates = [per_device_throughput(v) for v in variants]
    scale = scale_of((e.value for e in estimates if e), metric)
    cells = [
        Cell(
            interval(e.value, e.low, e.high, metric.digits, scale),
            notes.of(footnotes.of_times(v)),
        )
        if e
        else Cell(UNKNOWN)
        for v, e in zip(variants, estimates, strict=True)
    ]
    return f"{metric.title} per device ({scale.unit})", cells


def _share_cell(name: str, variant: VariantSummary, notes: Footnotes) -> Cell:
    if variant.scaling is None:
        return Cell(UNKNOWN)
    share = variant.scaling.shares.get(name)
    if share is None:
        is_baseline = name in variant.scaling.baseline_of
        return Cell("1 (baseline)" if is_baseline and name != "communication" else UNKNOWN)
    text = interval(share.value, share.low, share.high, DIGITS)
    return Cell(text, notes.of(footnotes.of_comparison(share.comparison)))
