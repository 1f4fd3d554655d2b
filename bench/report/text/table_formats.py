"""A summary as Markdown and CSV; ``latex.py`` has the third format.

Usage:
    markdown(summary), csv(summary)

Markdown is for people: scaled units, intervals, footnotes. CSV is for programs: every number
raw, in the SI unit that its column's name ends with. Each takes the text table of the summary
where there is one already.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.analysis.comparison.comparison_columns import ComparisonColumn
from bench.analysis.loading.csv_export import as_csv
from bench.analysis.summary import Summary
from bench.report.text import escaping, footnotes
from bench.report.text.report_header import header_facts
from bench.report.text.scaling_columns import per_device
from bench.report.text.secondary_table import (
    TITLE,
    estimate_columns,
    measured_columns,
    measured_notes,
    measured_table,
)
from bench.report.text.summary_table import Table, text_table

if TYPE_CHECKING:
    import pandas as pd


def markdown(summary: Summary, table: Table | None = None) -> str:
    """A report of one page: what was run and on what, the tables, the footnotes."""
    table = table or text_table(summary)
    parts = [f"# {escaping.markdown(summary.name)}"]
    if summary.description:
        parts.append(escaping.markdown(summary.description))
    parts.append("\n".join(f"- {k}: {escaping.markdown(v)}" for k, v in header_facts(summary)))
    parts.append(markdown_table(table))
    parts += [f"{superscript((i,))} {escaping.markdown(t)}" for i, t in enumerate(table.notes, 1)]
    parts += [escaping.markdown(text) for text in footnotes.of_summary(summary)]
    if (others := measured_table(summary)) is not None:
        parts += [f"## {TITLE}", markdown_table(others)]
        parts += [escaping.markdown(text) for text in measured_notes(summary)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """``table`` in GitHub's notation, numbers to the right."""
    lines = [
        _markdown_row(map(escaping.markdown, table.headers)),
        _markdown_row(["---", *["---:"] * (len(table.headers) - 1)]),
    ]
    for row in table.rows:
        lines.append(_markdown_row(escaping.markdown(c.text) + superscript(c.notes) for c in row))
    return "\n".join(lines)


def superscript(numbers: Sequence[int]) -> str:
    """Footnote numbers as small raised digits."""
    return " ".join(str(n).translate(_SUPERSCRIPTS) for n in numbers)


def csv(summary: Summary, table: Table | None = None) -> str:
    """One line a variant, raw numbers, empty where nothing is known."""
    return as_csv(summary_frame(summary, table or text_table(summary))).decode()


def summary_frame(summary: Summary, table: Table) -> "pd.DataFrame":
    """One row a variant: estimates with their interval and number of values, ``table``'s notes."""
    import pandas as pd

    variants = summary.variants
    data: dict[str, Any] = {
        "variant_id": [v.variant_id for v in variants],
        "label": [v.label for v in variants],
        "trials_planned": [v.planned for v in variants],
        "trials_completed": [v.completed for v in variants],
        **estimate_columns("epoch_s", [v.epoch_s for v in variants]),
        **estimate_columns("examples_per_s", [v.examples_per_s for v in variants]),
        **estimate_columns("val_accuracy", [v.val_accuracy for v in variants]),
        **estimate_columns("test_accuracy", [v.test_accuracy for v in variants]),
    }
    for index, column in enumerate(summary.columns):
        data |= _ratios(summary, index, column)
    if summary.scaling_columns:
        data["replicas"] = [v.replicas for v in variants]
        data |= estimate_columns("examples_per_s_per_device", [per_device(v) for v in variants])
    for name in summary.scaling_columns:
        data |= _shares(summary, name)
    data |= measured_columns(summary)
    data["synthetic"] = [v.synthetic for v in variants]
    data["notes"] = _notes(table)
    return pd.DataFrame(data)


def _ratios(summary: Summary, index: int, column: ComparisonColumn) -> dict[str, list[Any]]:
    name = f"epoch_s_over_{column.axis}={column.baseline}"
    compared = [v.comparisons[index] for v in summary.variants]
    ratios = [c.ratio if c else None for c in compared]
    baseline = [1.0 if v.baseline_of[index] else None for v in summary.variants]
    return {
        name: [r.value if r else one for r, one in zip(ratios, baseline, strict=True)],
        f"{name}_low": [r and r.low for r in ratios],
        f"{name}_high": [r and r.high for r in ratios],
        f"{name}_blocks": [r.blocks if r else 0 for r in ratios],
        f"{name}_sessions": [r.sessions if r else 0 for r in ratios],
        f"{name}_detectable": [r and r.detectable for r in ratios],
        f"{name}_further": [r and r.further for r in ratios],
    }


def _shares(summary: Summary, name: str) -> dict[str, list[Any]]:
    found = [v.scaling.shares.get(name) if v.scaling else None for v in summary.variants]
    full_name = f"{name}_share" if name == "communication" else f"efficiency_{name}"
    return {
        full_name: [s and s.value for s in found],
        f"{full_name}_low": [s and s.low for s in found],
        f"{full_name}_high": [s and s.high for s in found],
    }


def _notes(table: Table) -> list[str]:
    """The footnotes of each row, written out."""
    numbers = [dict.fromkeys(n for cell in row for n in cell.notes) for row in table.rows]
    return ["; ".join(table.notes[n - 1] for n in row) for row in numbers]


def _markdown_row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
