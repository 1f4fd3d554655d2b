"""Format a summary as a table of text cells, one row per variant, for any output format.

Usage:
    table = text_table(summary)
    table.headers, table.rows[0][1].text, table.rows[0][1].notes, table.notes
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.analysis.comparison.compare import Comparison
from bench.analysis.statistics.intervals import Estimate
from bench.analysis.summary import Summary
from bench.analysis.variant_summary import VariantSummary
from bench.records.metric import METRICS
from bench.report.text import footnotes
from bench.report.text.footnotes import Footnote, Footnotes
from bench.report.text.number_text import UNKNOWN, interval, plural, scale_of
from bench.report.text.ratio_text import comparison_text
from bench.report.text.scaling_columns import scaling_columns
from bench.report.text.table_cell import Cell

COUNT, BLOCKS = "n", "Blocks"
_OMIT_FIRST = (BLOCKS, METRICS["examples_per_s"].title, METRICS["val_accuracy"].title)
_OMIT_LAST = (METRICS["test_accuracy"].title, COUNT)
"""How the headers start of the columns that a narrow screen omits before and after all others."""


@dataclass(frozen=True)
class Table:
    """Headers, rows with one cell per header, and the footnotes, numbered from 1."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    optional_columns: tuple[int, ...] = ()
    """Indices of the columns that a narrow screen may omit, in the order to omit them."""


_Notes = Callable[[VariantSummary], Iterator[Footnote]]
_METRICS: dict[str, tuple[Callable[[VariantSummary], Estimate | None], _Notes]] = {
    "epoch_s": (lambda v: v.epoch_s, footnotes.of_times),
    "examples_per_s": (lambda v: v.examples_per_s, footnotes.of_times),
    "val_accuracy": (lambda v: v.val_accuracy, footnotes.of_accuracy),
    "test_accuracy": (lambda v: v.test_accuracy, footnotes.of_accuracy),
}


def text_table(summary: Summary, rows: int | None = None) -> Table:
    """Return the table of ``summary``, or of its first ``rows`` variants."""
    variants = summary.variants[:rows]
    notes = Footnotes()
    columns = [
        _label_column(variants),
        _count_column(variants, notes),
        *(_metric_column(name, variants, notes) for name in _METRICS),
        *scaling_columns(summary, variants, notes),
        *(
            column
            for index in range(len(summary.columns))
            for column in _comparison_columns(summary, index, variants, notes)
        ),
    ]
    headers = tuple(header for header, _ in columns)
    return Table(
        headers=headers,
        rows=tuple(zip(*(cells for _, cells in columns), strict=True)),
        notes=notes.texts,
        optional_columns=_optional_columns(headers),
    )


def _optional_columns(headers: Sequence[str]) -> tuple[int, ...]:
    """Return all columns except labels, epoch times and the first ratio, least important first."""
    columns = range(1, len(headers))
    times = [i for i in columns if headers[i].startswith(METRICS["epoch_s"].title)]

    def importance(column: int) -> tuple[int, int]:
        order = (*_OMIT_FIRST, None, *_OMIT_LAST)
        ranks = (i for i, title in enumerate(order) if title and headers[column].startswith(title))
        return next(ranks, len(_OMIT_FIRST)), -column

    return tuple(sorted((i for i in columns if i not in times[:2]), key=importance))


_Variants = Sequence[VariantSummary]
_Column = tuple[str, list[Cell]]


def _label_column(variants: _Variants) -> _Column:
    return "Variant", [Cell(v.label) for v in variants]


def _count_column(variants: _Variants, notes: Footnotes) -> _Column:
    return COUNT, [
        Cell(
            str(v.completed) if v.completed == v.planned else f"{v.completed} of {v.planned}",
            notes.of(footnotes.of_trials(v)),
        )
        for v in variants
    ]


def _metric_column(name: str, variants: _Variants, notes: Footnotes) -> _Column:
    metric = METRICS[name]
    value_of, notes_of = _METRICS[name]
    estimates = [value_of(v) for v in variants]
    scale = scale_of((e.value for e in estimates if e), metric)
    cells = [
        Cell(
            interval(e.value, e.low, e.high, metric.digits, scale) if e else UNKNOWN,
            notes.of(notes_of(v)) if v.completed else (),
        )
        for v, e in zip(variants, estimates, strict=True)
    ]
    return f"{metric.title} ({scale.unit})" if scale.unit else metric.title, cells


def _comparison_columns(
    summary: Summary, index: int, variants: _Variants, notes: Footnotes
) -> tuple[_Column, _Column]:
    column = summary.columns[index]
    ratios, blocks = [], []
    for variant in variants:
        comparison = variant.comparisons[index]
        if comparison is None:
            ratios.append(Cell("1 (baseline)" if variant.baseline_of[index] else UNKNOWN))
            blocks.append(Cell(UNKNOWN))
        else:
            texts = [
                *footnotes.of_comparison(comparison),
                *footnotes.extrapolation(variant),
            ]
            ratios.append(Cell(comparison_text(comparison), notes.of(texts)))
            blocks.append(Cell(_blocks_text(comparison)))
    return (f"Epoch time ÷ {column.axis}={column.baseline}", ratios), (BLOCKS, blocks)


def _blocks_text(comparison: Comparison) -> str:
    ratio = comparison.ratio
    if ratio is None:
        return UNKNOWN
    if ratio.sessions < 2:
        return str(ratio.blocks)
    return f"{ratio.blocks} ({plural(ratio.sessions, 'session')})"
