"""The table of a run on a terminal, or as plain lines where there is none.

Usage:
    show(summary)                          # to stdout
    show(summary, Console(width=80))

Free text is never read as Rich's markup. Where the table is wider than the terminal each
variant gets a paragraph of its own, so that no number is cut or wrapped.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.analysis.summary import Summary
from bench.report import escape, notes
from bench.report.header import wall_text
from bench.report.table import Table, text_table
from bench.report.tables import superscript

if TYPE_CHECKING:
    from rich.console import Console

MAX_ROWS = 100
"""Variants shown; the written report has all."""


def show(summary: Summary, console: "Console | None" = None) -> None:
    """Print the table of ``summary``, its footnotes, and where the time went."""
    from rich.console import Console

    console = console or Console(highlight=False)
    table = text_table(summary, rows=MAX_ROWS)
    width = _natural_width(table)
    if not console.is_terminal:
        _print(console, _as_lines(table))
    elif width <= console.width:
        _print_grid(console, table)
    else:
        _print(console, _as_paragraphs(table))
    hidden = len(summary.variants) - len(table.rows)
    if hidden > 0:
        _print(console, [f"... and {hidden} more variants in the written report"])
    _print(
        console, [f"{superscript((i,))} {escape.plain(t)}" for i, t in enumerate(table.notes, 1)]
    )
    _print(console, [*notes.of_summary(summary), f"Wall time: {wall_text(summary.wall)}"])


def _cells(table: Table) -> list[list[str]]:
    return [[f"{escape.plain(c.text)}{superscript(c.notes)}" for c in row] for row in table.rows]


def _widths(table: Table) -> list[int]:
    from rich.cells import cell_len

    columns = zip(map(escape.plain, table.headers), *_cells(table), strict=True)
    return [max(map(cell_len, column)) for column in columns]


def _natural_width(table: Table) -> int:
    return sum(_widths(table)) + 2 * (len(table.headers) - 1)


def _as_lines(table: Table) -> list[str]:
    from rich.cells import cell_len

    widths = _widths(table)
    lines = []
    for row in [[escape.plain(h) for h in table.headers], *_cells(table)]:
        padding = [" " * (w - cell_len(c)) for w, c in zip(widths, row, strict=True)]
        first, *rest = (
            f"{cell}{pad}" if i == 0 else f"{pad}{cell}"
            for i, (cell, pad) in enumerate(zip(row, padding, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return lines


def _print_grid(console: "Console", table: Table) -> None:
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for i, header in enumerate(table.headers):
        grid.add_column(
            Text(_encodable(escape.plain(header), console)),
            justify="right" if i else "left",
            no_wrap=True,
        )
    for row in _cells(table):
        grid.add_row(*(Text(_encodable(cell, console)) for cell in row))
    console.print(grid)


def _as_paragraphs(table: Table) -> list[str]:
    lines = []
    for row in _cells(table):
        lines.append(row[0])
        lines += [
            f"  {escape.plain(header)}: {cell}"
            for header, cell in zip(table.headers[1:], row[1:], strict=True)
        ]
    return lines


def _print(console: "Console", lines: Iterable[str]) -> None:
    from rich.text import Text

    for line in lines:
        console.print(Text(_encodable(line, console)), soft_wrap=not console.is_terminal)


def _encodable(text: str, console: "Console") -> str:
    return escape.visible(text).encode(console.encoding, "replace").decode(console.encoding)
