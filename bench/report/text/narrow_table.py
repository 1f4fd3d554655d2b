"""Fit a table to a narrow screen: still one row per variant, with its columns side by side.

Usage:
    grid = fit(table, width=80)
    grid.rows, grid.widths, grid.omitted_headers

A table that is too wide first gets wrapped headers and labels, then intervals below their values,
and then loses its least important columns. No number is truncated.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from bench.report.text import escaping
from bench.report.text.summary_table import Table
from bench.report.text.table_formats import superscript

GAP = 2
"""Spaces between columns."""
_MAX_LABEL_WORD, _MAX_HEADER_WORD = 30, 20
"""A longer word of a label or of a header is broken; in character cells of the screen."""
_MIN_LABEL_WIDTH = 10
"""The width of the labels when no further column can be omitted."""
_BREAK = re.compile(r" (?=[\[(])|(?<=;) ")
"""Where a cell may wrap: before an interval or a remark, and between two remarks."""


@dataclass(frozen=True)
class Grid:
    """Headers and cells as text, with line breaks in the cells, and the column widths."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    omitted_headers: tuple[str, ...] = ()
    """Headers of the columns that do not fit."""


def cell_texts(table: Table) -> list[list[str]]:
    """Return the text of each cell with the numbers of its footnotes, by row."""
    return [[f"{escaping.plain(c.text)}{superscript(c.notes)}" for c in row] for row in table.rows]


def natural_widths(table: Table) -> list[int]:
    """Return the width of each column without any wrapping."""
    columns = zip(map(escaping.plain, table.headers), *cell_texts(table), strict=True)
    return [max(map(cell_len, column)) for column in columns]


def fit(table: Table, width: int) -> Grid:
    """Return ``table`` in at most ``width`` character cells, if possible."""
    headers = tuple(map(escaping.plain, table.headers))
    unwrapped = cell_texts(table)
    natural = natural_widths(table)
    if _total(natural) <= width:
        return Grid(headers, tuple(map(tuple, unwrapped)), tuple(natural))
    wrapped = [[row[0], *(_BREAK.sub("\n", cell) for cell in row[1:])] for row in unwrapped]
    for rows in (unwrapped, wrapped):
        minimum = _minimum_widths(headers, rows)
        if _total(minimum) <= width:
            break
    shown = list(range(len(headers)))
    for column in table.optional_columns:
        if _total([minimum[i] for i in shown]) <= width:
            break
        shown.remove(column)
    widths = [minimum[i] for i in shown]
    widths[0] = min(natural[0], max(_MIN_LABEL_WIDTH, widths[0] + width - _total(widths)))
    return Grid(
        headers=tuple(headers[i] for i in shown),
        rows=tuple(tuple(row[i] for i in shown) for row in rows),
        widths=tuple(widths),
        omitted_headers=tuple(h for i, h in enumerate(headers) if i not in shown),
    )


def _minimum_widths(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the least width of each column: of its cells' lines and its header's words.

    The first column has the labels, which wrap between words too.
    """
    columns = list(zip(*rows, strict=True)) or [() for _ in headers]
    widths = [min(_MAX_HEADER_WORD, _longest(header.split())) for header in headers]
    label_word = _longest(word for label in columns[0] for word in label.split())
    widths[0] = max(widths[0], min(_MAX_LABEL_WORD, label_word))
    for i, column in enumerate(columns[1:], start=1):
        widths[i] = max(widths[i], _longest(line for cell in column for line in cell.split("\n")))
    return widths


def _longest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
