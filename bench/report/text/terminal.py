"""The table of a run on a terminal, or as plain lines where there is none.

Usage:
    show(summary)                          # to stdout
    show(summary, Console(width=80))

Free text is never read as Rich's markup. Where the table is wider than the terminal, ``narrow``
makes it fit.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.analysis.summary import Summary
from bench.report.text import escaping, footnotes
from bench.report.text.narrow_table import GAP, Grid, cells_of, fitted, natural_widths
from bench.report.text.report_header import wall_text
from bench.report.text.summary_table import Table, text_table
from bench.report.text.table_formats import superscript

if TYPE_CHECKING:
    from rich.console import Console

MAX_ROWS = 100
"""Variants shown; the written report has all."""


def show(summary: Summary, console: "Console | None" = None) -> None:
    """Print the table of ``summary``, its footnotes, and where the time went."""
    from rich.console import Console

    console = console or Console(highlight=False)
    table = text_table(summary, rows=MAX_ROWS)
    if console.is_terminal:
        _print_grid(console, fitted(table, console.width))
    else:
        _print(console, _as_lines(table))
    hidden = len(summary.variants) - len(table.rows)
    if hidden > 0:
        _print(console, [f"... and {hidden} more variants in the written report"])
    _print(
        console, [f"{superscript((i,))} {escaping.plain(t)}" for i, t in enumerate(table.notes, 1)]
    )
    _print(console, [*footnotes.of_summary(summary), f"Wall time: {wall_text(summary.wall)}"])


def _as_lines(table: Table) -> list[str]:
    from rich.cells import cell_len

    widths = natural_widths(table)
    lines = []
    for row in [[escaping.plain(h) for h in table.headers], *cells_of(table)]:
        padding = [" " * (w - cell_len(c)) for w, c in zip(widths, row, strict=True)]
        first, *rest = (
            f"{cell}{pad}" if i == 0 else f"{pad}{cell}"
            for i, (cell, pad) in enumerate(zip(row, padding, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return lines


def _print_grid(console: "Console", grid: Grid) -> None:
    from rich.table import Table as Rows
    from rich.text import Text

    rows = Rows(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for i, (header, width) in enumerate(zip(grid.headers, grid.widths, strict=True)):
        rows.add_column(
            Text(_encodable(header, console)),
            justify="right" if i else "left",
            width=width,
            overflow="fold",
        )
    for row in grid.rows:
        rows.add_row(*(Text(_lines_encodable(cell, console)) for cell in row))
    console.print(rows)
    if grid.left_out:
        shown = ", ".join(grid.left_out)
        _print(console, [f"For want of width without: {shown}. The written report has all."])


def _print(console: "Console", lines: Iterable[str]) -> None:
    from rich.text import Text

    for line in lines:
        console.print(Text(_encodable(line, console)), soft_wrap=not console.is_terminal)


def _encodable(text: str, console: "Console") -> str:
    return escaping.visible(text).encode(console.encoding, "replace").decode(console.encoding)


def _lines_encodable(cell: str, console: "Console") -> str:
    return "\n".join(_encodable(line, console) for line in cell.split("\n"))
