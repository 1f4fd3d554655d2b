"""Format a summary as a LaTeX document, with the tables and notes of the Markdown report.

Usage:
    latex(summary)
"""

import math
from collections.abc import Iterable, Sequence

from bench.analysis.summary import Summary
from bench.report.text import escaping
from bench.report.text.secondary_table import TITLE, secondary_notes, secondary_table
from bench.report.text.summary_table import Table, text_table
from bench.report.text.table_cell import Cell
from bench.report.text.table_notes import table_notes


def latex(summary: Summary, table: Table | None = None) -> str:
    """Return a document that pdflatex compiles unchanged; tables may span several pages."""
    table, second = table or text_table(summary), secondary_table(summary)
    numbered = (
        rf"\textsuperscript{{{i}}} {escaping.latex(t)}" for i, t in enumerate(table.notes, 1)
    )
    parts = [
        _section(summary.name),
        escaping.latex(summary.description),
        r"\scriptsize" "\n" r"\setlength{\tabcolsep}{3pt}",
        _longtable(table),
        *numbered,
        *_escaped(table_notes(summary)),
    ]
    if second is not None:
        parts += [_section(TITLE), _longtable(second), *_escaped(secondary_notes(summary))]
    width = max(_paper_cm(each) for each in (table, second) if each is not None)
    return _DOCUMENT.format(width=width, body="\n\n".join(filter(None, parts)))


def _section(title: str) -> str:
    return rf"\section*{{{escaping.latex(title)}}}"


def _escaped(texts: Iterable[str]) -> list[str]:
    return [escaping.latex(text) for text in texts]


def _longtable(table: Table) -> str:
    return _LONGTABLE.format(
        columns="l" + "r" * (len(table.headers) - 1),
        headers=" & ".join(map(escaping.latex, table.headers)),
        rows="\n".join(map(_row, table.rows)),
    )


def _row(row: Sequence[Cell]) -> str:
    cells = []
    for cell in row:
        superscript = rf"\textsuperscript{{{','.join(map(str, cell.notes))}}}" if cell.notes else ""
        cells.append(escaping.latex(cell.text) + superscript)
    # TeX reads a leading [ or * as an argument of the \\ that ended the row before.
    guard = "{}" if cells[0].startswith(("[", "*")) else ""
    return guard + " & ".join(cells) + r" \\"


def _paper_cm(table: Table) -> int:
    """Return how wide the paper must be, in cm, to fit the widest cell of each column."""
    rows = [[len(c.text) + len(c.notes) for c in row] for row in table.rows]
    widths = zip(map(len, table.headers), *rows, strict=True)
    characters: int = sum(max(column) for column in widths)
    points = 3.8 * characters + 6 * len(table.headers)
    return max(21, math.ceil(points / 28.45 + 2))


_DOCUMENT = r"""\documentclass[10pt]{{article}}
\usepackage[T1]{{fontenc}}
\usepackage[utf8]{{inputenc}}
\usepackage{{booktabs,longtable}}
\usepackage[paperwidth={width}cm,paperheight=21cm,margin=1cm]{{geometry}}
\setlength{{\parindent}}{{0pt}}
\begin{{document}}
{body}
\end{{document}}
"""
_LONGTABLE = r"""\begin{{longtable}}{{{columns}}}
\toprule
{headers} \\
\midrule
\endhead
\bottomrule
\endlastfoot
{rows}
\end{{longtable}}"""
