"""Print the table of a run to a terminal, or as plain lines to a file or a pipe.

Usage:
    show(summary)                          # to stdout
    show(summary, Console(width=80))

Rich never reads free text as markup. ``narrow_table`` makes a table fit a narrow terminal.
"""

from collections.abc import Iterable

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.analysis.summary import Summary
from bench.report.text import escaping
from bench.report.text.narrow_table import GAP, Grid, cell_texts, fit, natural_widths
from bench.report.text.report_header import wall_time_text
from bench.report.text.summary_table import Table, text_table
from bench.report.text.table_formats import superscript
from bench.report.text.table_notes import table_notes

MAX_ROWS = 100
"""How many variants are printed; the written report has all of them."""


def show(summary: Summary, console: Console | None = None) -> None:
    """Print the table of ``summary``, its footnotes, and where the time went."""
    console = console or Console(highlight=False)
    table = text_table(summary, rows=MAX_ROWS)
    if console.is_terminal:
        _print_grid(console, fit(table, console.width))
    else:
        _print(console, _aligned_lines(table))
    hidden = len(summary.variants) - len(table.rows)
    if hidden > 0:
        _print(console, [f"... and {hidden} more variants in the written report"])
    _print(
        console, [f"{superscript((i,))} {escaping.plain(t)}" for i, t in enumerate(table.notes, 1)]
    )
    _print(console, [*table_notes(summary), f"Wall time: {wall_time_text(summary.wall)}"])


def _aligned_lines(table: Table) -> list[str]:
    widths = natural_widths(table)
    lines = []
    for row in [[escaping.plain(h) for h in table.headers], *cell_texts(table)]:
        padding = [" " * (w - cell_len(c)) for w, c in zip(widths, row, strict=True)]
        label, *numbers = zip(row, padding, strict=True)
        cells = ["".join(label), *(f"{pad}{cell}" for cell, pad in numbers)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _print_grid(console: Console, grid: Grid) -> None:
    table = RichTable(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for i, (header, width) in enumerate(zip(grid.headers, grid.widths, strict=True)):
        table.add_column(
            Text(_encodable(header, console)),
            justify="right" if i else "left",
            width=width,
            overflow="fold",
        )
    for row in grid.rows:
        table.add_row(*(Text(_encodable_lines(cell, console)) for cell in row))
    console.print(table)
    if grid.omitted_headers:
        names = ", ".join(grid.omitted_headers)
        _print(console, [f"Columns omitted to fit the width: {names}. The written report has all."])


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Text(_encodable(line, console)), soft_wrap=not console.is_terminal)


def _encodable(text: str, console: Console) -> str:
    """Return ``text`` with "?" for what the console's encoding lacks, safe to print."""
    return escaping.visible(text).encode(console.encoding, "replace").decode(console.encoding)


def _encodable_lines(cell: str, console: Console) -> str:
    return "\n".join(_encodable(line, console) for line in cell.split("\n"))
