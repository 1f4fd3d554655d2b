"""A summary as Markdown, CSV and LaTeX.

Usage:
    markdown(summary), csv(summary), latex(summary)

Markdown and LaTeX are for people: scaled units, intervals, footnotes. CSV is for programs:
every number raw, in the SI unit that its column's name ends with. Each takes the text table
of the summary where there is one already.
"""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.analysis.paired import Estimate
from bench.analysis.summary import Column, Summary
from bench.report import escape, notes
from bench.report.cell import Cell
from bench.report.header import facts
from bench.report.scaling import per_device
from bench.report.table import Table, text_table

if TYPE_CHECKING:
    import pandas as pd


def markdown(summary: Summary, table: Table | None = None) -> str:
    """A report of one page: what was run and on what, the table, the footnotes."""
    table = table or text_table(summary)
    parts = [f"# {escape.markdown(summary.name)}"]
    if summary.description:
        parts.append(escape.markdown(summary.description))
    parts.append("\n".join(f"- {k}: {escape.markdown(v)}" for k, v in facts(summary)))
    parts.append(markdown_table(table))
    parts += [f"{superscript((i,))} {escape.markdown(t)}" for i, t in enumerate(table.notes, 1)]
    parts += [escape.markdown(text) for text in notes.of_summary(summary)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """``table`` in GitHub's notation, numbers to the right."""
    lines = [
        _markdown_row(map(escape.markdown, table.headers)),
        _markdown_row(["---", *["---:"] * (len(table.headers) - 1)]),
    ]
    for row in table.rows:
        lines.append(_markdown_row(escape.markdown(c.text) + superscript(c.notes) for c in row))
    return "\n".join(lines)


def superscript(numbers: Sequence[int]) -> str:
    """Footnote numbers as small raised digits."""
    return " ".join(str(n).translate(_SUPERSCRIPTS) for n in numbers)


def latex(summary: Summary, table: Table | None = None) -> str:
    """A document that pdflatex compiles as it is: the table over as many pages as it takes."""
    table = table or text_table(summary)
    texts = [
        *(rf"\textsuperscript{{{i}}} {escape.latex(t)}" for i, t in enumerate(table.notes, 1)),
        *map(escape.latex, notes.of_summary(summary)),
    ]
    return _LATEX.format(
        title=escape.latex(summary.name),
        width=_paper_cm(table),
        description=escape.latex(summary.description),
        columns="l" + "r" * (len(table.headers) - 1),
        headers=" & ".join(map(escape.latex, table.headers)),
        rows="\n".join(_latex_row(row) for row in table.rows),
        notes="\n\n".join(texts),
    )


def csv(summary: Summary, table: Table | None = None) -> str:
    """One line a variant, raw numbers, empty where nothing is known."""
    import pyarrow
    from pyarrow.csv import write_csv

    sink = io.BytesIO()
    frame = summary_frame(summary, table or text_table(summary))
    write_csv(pyarrow.Table.from_pandas(frame, preserve_index=False), sink)
    return sink.getvalue().decode()


def summary_frame(summary: Summary, table: Table) -> "pd.DataFrame":
    """One row a variant: estimates with their interval and number of values, ``table``'s notes."""
    import pandas as pd

    variants = summary.variants
    data: dict[str, Any] = {
        "variant_id": [v.variant_id for v in variants],
        "label": [v.label for v in variants],
        "trials_planned": [v.planned for v in variants],
        "trials_completed": [v.completed for v in variants],
        **_estimates("epoch_s", [v.epoch_s for v in variants]),
        **_estimates("examples_per_s", [v.examples_per_s for v in variants]),
        **_estimates("val_accuracy", [v.val_accuracy for v in variants]),
        **_estimates("test_accuracy", [v.test_accuracy for v in variants]),
    }
    for index, column in enumerate(summary.columns):
        data |= _ratios(summary, index, column)
    if summary.scaling_columns:
        data["replicas"] = [v.replicas for v in variants]
        data |= _estimates("examples_per_s_per_device", [per_device(v) for v in variants])
    for name in summary.scaling_columns:
        data |= _shares(summary, name)
    data["synthetic"] = [v.synthetic for v in variants]
    data["notes"] = _notes(table)
    return pd.DataFrame(data)


def _estimates(name: str, found: list[Estimate | None]) -> dict[str, list[Any]]:
    return {
        name: [e and e.value for e in found],
        f"{name}_low": [e and e.low for e in found],
        f"{name}_high": [e and e.high for e in found],
        f"{name}_n": [e.n if e else 0 for e in found],
    }


def _ratios(summary: Summary, index: int, column: Column) -> dict[str, list[Any]]:
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


def _latex_row(row: Sequence[Cell]) -> str:
    cells = []
    for cell in row:
        raised = rf"\textsuperscript{{{','.join(map(str, cell.notes))}}}" if cell.notes else ""
        cells.append(escape.latex(cell.text) + raised)
    # After the \\ of the row before, TeX takes a leading [ or * for an argument of it.
    guard = "{}" if cells[0].startswith(("[", "*")) else ""
    return guard + " & ".join(cells) + r" \\"


def _paper_cm(table: Table) -> int:
    """How wide the paper has to be for the widest cell of each column to fit."""
    rows = [[len(c.text) + len(c.notes) for c in row] for row in table.rows]
    widths = zip(map(len, table.headers), *rows, strict=True)
    characters: int = sum(max(column) for column in widths)
    points = 3.8 * characters + 6 * len(table.headers)
    return max(21, math.ceil(points / 28.45 + 2))


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

_LATEX = r"""\documentclass[10pt]{{article}}
\usepackage[T1]{{fontenc}}
\usepackage[utf8]{{inputenc}}
\usepackage{{booktabs,longtable}}
\usepackage[paperwidth={width}cm,paperheight=21cm,margin=1cm]{{geometry}}
\setlength{{\parindent}}{{0pt}}
\begin{{document}}
\section*{{{title}}}
{description}
\scriptsize
\setlength{{\tabcolsep}}{{3pt}}
\begin{{longtable}}{{{columns}}}
\toprule
{headers} \\
\midrule
\endhead
\bottomrule
\endlastfoot
{rows}
\end{{longtable}}
{notes}
\end{{document}}
"""
