"""A summary as cells of text, still without a format: one row a variant.

Usage:
    table = text_table(summary)
    table.headers, table.rows[0][1].text, table.rows[0][1].notes, table.notes
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.analysis.comparison.compare import Comparison
from bench.analysis.statistics.paired import Estimate
from bench.analysis.summary import Summary, VariantSummary
from bench.records.metric import METRICS
from bench.report.text import footnotes as footnotes
from bench.report.text.footnotes import Footnote, Footnotes
from bench.report.text.number_text import UNKNOWN, interval, number, plural, scale_of
from bench.report.text.scaling_columns import scaling_columns
from bench.report.text.table_cell import Cell

RATIO_DIGITS = 3
DETECTABLE_DIGITS = 2
COUNT, DETECTABLE = "n", "Detectable"
_SPARE_FIRST = (DETECTABLE, METRICS["examples_per_s"].title, METRICS["val_accuracy"].title)
_SPARE_LAST = (METRICS["test_accuracy"].title, COUNT)
"""What headers begin with, of columns that matter little and of some that matter more than most."""


@dataclass(frozen=True)
class Table:
    """Headers, rows of as many cells, and the text of the footnotes, the first being 1."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    spare: tuple[int, ...] = ()
    """Places of the columns that a narrow screen may leave out, the first to go first."""


_Notes = Callable[[VariantSummary], Iterator[Footnote]]
_METRICS: dict[str, tuple[Callable[[VariantSummary], Estimate | None], _Notes]] = {
    "epoch_s": (lambda v: v.epoch_s, footnotes.of_times),
    "examples_per_s": (lambda v: v.examples_per_s, footnotes.of_times),
    "val_accuracy": (lambda v: v.val_accuracy, footnotes.of_accuracy),
    "test_accuracy": (lambda v: v.test_accuracy, footnotes.of_accuracy),
}


def text_table(summary: Summary, rows: int | None = None) -> Table:
    """The table of ``summary``, or of its first ``rows`` variants."""
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
        spare=_spare(headers),
    )


def _spare(headers: Sequence[str]) -> tuple[int, ...]:
    """All columns but labels, epoch times and the first ratio, by what they are worth."""
    places = range(1, len(headers))
    times = [i for i in places if headers[i].startswith(METRICS["epoch_s"].title)]

    def worth(place: int) -> tuple[int, int]:
        order = (*_SPARE_FIRST, None, *_SPARE_LAST)
        found = (i for i, title in enumerate(order) if title and headers[place].startswith(title))
        return next(found, len(_SPARE_FIRST)), -place

    return tuple(sorted((i for i in places if i not in times[:2]), key=worth))


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
    ratios, detectable = [], []
    for variant in variants:
        comparison = variant.comparisons[index]
        if comparison is None:
            ratios.append(Cell("1 (baseline)" if variant.baseline_of[index] else UNKNOWN))
            detectable.append(Cell(UNKNOWN))
        else:
            texts = [
                *footnotes.of_comparison(comparison, summary.blocks),
                *footnotes.extrapolated(variant),
            ]
            ratios.append(Cell(_ratio_text(comparison), notes.of(texts)))
            detectable.append(Cell(_detectable_text(comparison)))
    return (f"Epoch time ÷ {column.axis}={column.baseline}", ratios), (DETECTABLE, detectable)


def _ratio_text(comparison: Comparison) -> str:
    ratio = comparison.ratio
    if ratio is None:
        return UNKNOWN
    return interval(ratio.value, ratio.low, ratio.high, RATIO_DIGITS)


def _detectable_text(comparison: Comparison) -> str:
    ratio = comparison.ratio
    if ratio is None:
        return UNKNOWN
    counted = plural(ratio.blocks, "block")
    if ratio.sessions > 1:
        counted += f", {plural(ratio.sessions, 'session')}"
    if ratio.further:
        counted += f"; {ratio.further} more for {footnotes.WANTED_TEXT}"
    if ratio.detectable is None:
        return f"{UNKNOWN} ({counted})"
    return f"{number(100 * (ratio.detectable - 1), DETECTABLE_DIGITS)} % ({counted})"
