"""Format a summary as Markdown and as CSV; ``latex`` has the third format.

Usage:
    markdown(summary), csv(summary)

Markdown is for people, with scaled units, intervals and footnotes. CSV is for programs: every
number is raw, in the SI unit that the column's name ends with. Callers that already have the
summary's text table pass it as ``table``.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.analysis.comparison.compare import Comparison
from bench.analysis.comparison.comparison_columns import ComparisonColumn
from bench.analysis.loading.csv_export import as_csv
from bench.analysis.summary import Summary
from bench.report.text import escaping
from bench.report.text.report_header import header_facts
from bench.report.text.scaling_columns import per_device_throughput
from bench.report.text.secondary_table import (
    TITLE,
    estimate_columns,
    secondary_columns,
    secondary_notes,
    secondary_table,
)
from bench.report.text.summary_table import Table, text_table
from bench.report.text.table_notes import table_notes


def markdown(summary: Summary, table: Table | None = None) -> str:
    """Return the whole report: facts about the run, tables and footnotes."""
    table = table or text_table(summary)
    parts = [f"# {escaping.markdown(summary.name)}"]
    if summary.description:
        parts.append(escaping.markdown(summary.description))
    parts.append("\n".join(f"- {k}: {escaping.markdown(v)}" for k, v in header_facts(summary)))
    parts.append(markdown_table(table))
    parts += [f"{superscript((i,))} {escaping.markdown(t)}" for i, t in enumerate(table.notes, 1)]
    parts += [escaping.markdown(text) for text in table_notes(summary)]
    if (second := secondary_table(summary)) is not None:
        parts += [f"## {TITLE}", markdown_table(second)]
        parts += [escaping.markdown(text) for text in secondary_notes(summary)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """Return ``table`` in GitHub's notation, with right-aligned numbers."""
    lines = [
        _markdown_row(map(escaping.markdown, table.headers)),
        _markdown_row(["---", *["---:"] * (len(table.headers) - 1)]),
    ]
    for row in table.rows:
        lines.append(_markdown_row(escaping.markdown(c.text) + superscript(c.notes) for c in row))
    return "\n".join(lines)


def superscript(numbers: Sequence[int]) -> str:
    """Return footnote numbers as superscript digits."""
    return " ".join(str(n).translate(_SUPERSCRIPTS) for n in numbers)


def csv(summary: Summary, table: Table | None = None) -> str:
    """Return one line per variant with raw numbers; unknown values are empty."""
    return as_csv(summary_frame(summary, table or text_table(summary))).decode()


def summary_frame(summary: Summary, table: Table) -> pd.DataFrame:
    """Return one row per variant: estimates, their intervals and counts, and its footnotes."""
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
        data |= _ratio_columns(summary, index, column)
    if summary.scaling_columns:
        data["replicas"] = [v.replicas for v in variants]
        data |= estimate_columns(
            "examples_per_s_per_device", [per_device_throughput(v) for v in variants]
        )
    for name in summary.scaling_columns:
        data |= _share_columns(summary, name)
    data |= secondary_columns(summary)
    data["synthetic"] = [v.synthetic for v in variants]
    data["notes"] = _notes_by_row(table)
    return pd.DataFrame(data)


def _ratio_columns(summary: Summary, index: int, column: ComparisonColumn) -> dict[str, list[Any]]:
    name = f"epoch_s_over_{column.axis}={column.baseline}"
    comparisons = [v.comparisons[index] for v in summary.variants]
    ratios = [c.ratio if c else None for c in comparisons]
    fallbacks = [1.0 if v.baseline_of[index] else None for v in summary.variants]
    columns: dict[str, list[Any]] = {
        name: [r.value if r else value for r, value in zip(ratios, fallbacks, strict=True)],
        f"{name}_low": [r and r.low for r in ratios],
        f"{name}_high": [r and r.high for r in ratios],
        f"{name}_blocks": [r.blocks if r else 0 for r in ratios],
        f"{name}_sessions": [r.sessions if r else 0 for r in ratios],
    }
    return columns | (_within_columns(name, comparisons) if summary.sessions > 1 else {})


def _within_columns(name: str, comparisons: list[Comparison | None]) -> dict[str, list[Any]]:
    within = [c.within_sessions if c else None for c in comparisons]
    return {
        f"{name}_within_sessions_low": [w and w.low for w in within],
        f"{name}_within_sessions_high": [w and w.high for w in within],
    }


def _share_columns(summary: Summary, name: str) -> dict[str, list[Any]]:
    shares = [v.scaling.shares.get(name) if v.scaling else None for v in summary.variants]
    full_name = f"{name}_share" if name == "communication" else f"efficiency_{name}"
    return {
        full_name: [s and s.value for s in shares],
        f"{full_name}_low": [s and s.low for s in shares],
        f"{full_name}_high": [s and s.high for s in shares],
    }


def _notes_by_row(table: Table) -> list[str]:
    """Return the text of each row's footnotes."""
    numbers = [dict.fromkeys(n for cell in row for n in cell.notes) for row in table.rows]
    return ["; ".join(table.notes[n - 1] for n in row) for row in numbers]


def _markdown_row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
