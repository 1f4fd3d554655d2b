"""A table made to fit a screen: still one row a variant, its columns side by side.

Usage:
    grid = fitted(table, width=80)
    grid.rows, grid.widths, grid.left_out

Where the table is too wide, headers and labels wrap; then intervals go below their values; then
the columns that matter least are left out. No number is cut.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.report.text import escaping
from bench.report.text.summary_table import Table
from bench.report.text.table_formats import superscript

GAP = 2
"""Spaces between columns."""
_LABEL, _HEADER = 30, 20
"""Words of a label and of a header longer than so many cells are broken."""
_LEAST = 10
"""What a label gets where nothing else can be left out."""
_BREAK = re.compile(r" (?=[\[(])|(?<=;) ")
"""Where a cell may go on below: before an interval or a remark, and between two remarks."""


@dataclass(frozen=True)
class Grid:
    """Headers and cells as text, lines of a cell apart, and the width of each column."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    """Headers of the columns for which there is no room."""


def cells_of(table: Table) -> list[list[str]]:
    """Each row's cells as text, with the numbers of their footnotes."""
    return [[f"{escaping.plain(c.text)}{superscript(c.notes)}" for c in row] for row in table.rows]


def natural_widths(table: Table) -> list[int]:
    """The width of each column where nothing wraps."""
    columns = zip(map(escaping.plain, table.headers), *cells_of(table), strict=True)
    return [max(map(_cell_width, column)) for column in columns]


def fitted(table: Table, width: int) -> Grid:
    """``table`` in at most ``width`` cells, if that can be."""
    headers = tuple(map(escaping.plain, table.headers))
    whole = cells_of(table)
    natural = natural_widths(table)
    if _total(natural) <= width:
        return Grid(headers, tuple(map(tuple, whole)), tuple(natural))
    split = [[row[0], *(_BREAK.sub("\n", cell) for cell in row[1:])] for row in whole]
    for rows in (whole, split):
        needed = _needed(headers, rows)
        if _total(needed) <= width:
            break
    kept = list(range(len(headers)))
    for column in table.spare:
        if _total([needed[i] for i in kept]) <= width:
            break
        kept.remove(column)
    widths = [needed[i] for i in kept]
    widths[0] = min(natural[0], max(_LEAST, widths[0] + width - _total(widths)))
    return Grid(
        headers=tuple(headers[i] for i in kept),
        rows=tuple(tuple(row[i] for i in kept) for row in rows),
        widths=tuple(widths),
        left_out=tuple(h for i, h in enumerate(headers) if i not in kept),
    )


def _needed(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """The least width of each column: of the lines of its cells, and of its longest words."""
    columns = list(zip(*rows, strict=True)) or [() for _ in headers]
    needed = [min(_HEADER, _longest(header.split())) for header in headers]
    needed[0] = max(
        needed[0], min(_LABEL, _longest(w for cell in columns[0] for w in cell.split()))
    )
    for i, column in enumerate(columns[1:], start=1):
        needed[i] = max(needed[i], _longest(line for cell in column for line in cell.split("\n")))
    return needed


def _longest(texts: Iterable[str]) -> int:
    return max(map(_cell_width, texts), default=0)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _cell_width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
