"""Hold a table that the page's script sorts, filters and pages through.

Usage:
    grid = grid_from_table("overview-1", "Overview", text_table(summary), "variant", ids)
    grid.data()                           # for the script; the template writes the first rows
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.report.text.summary_table import Table

PAGE_ROWS, SENTENCE = 50, 30


@dataclass(frozen=True)
class Column:
    """One column; ``cells`` are text, numbers (shown unchanged) or None."""

    title: str
    cells: Sequence[Any]
    numeric: bool = False
    choices: bool = False
    """Whether the page offers a menu of the column's values."""

    @cached_property
    def style(self) -> str:
        """The CSS class of the cells: numbers are right-aligned, sentences get a wide column."""
        if self.numeric:
            return "number"
        longest = max((len(str(cell)) for cell in self.cells), default=0)
        return "wide" if longest > SENTENCE else ""


NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Grid:
    """A table of the page."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    marks: Sequence[Sequence[Sequence[int]]] = ()
    """The numbers of each cell's footnotes, by column and row; () if there are none."""
    opens: str = ""
    """The kind of details that a row opens: "variant", "trial" or ""."""
    keys: Sequence[str] = ()
    """The key of the details that each row opens."""

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.columns[0].cells) if self.columns else 0

    def first_rows(self) -> list[list[Any]]:
        """Return the rows that the page shows before its script has run."""
        count = min(self.size, PAGE_ROWS)
        return [[column.cells[i] for column in self.columns] for i in range(count)]

    def marks_of(self, row: int) -> list[str]:
        """Return the footnote numbers of each cell of a row, as text."""
        marks = [column[row] if column else () for column in self.marks]
        return [" ".join(map(str, numbers)) for numbers in marks] or [""] * len(self.columns)

    def data(self) -> dict[str, Any]:
        """Return the data of the script, with only the marks that exist."""
        marks = {
            f"{row},{index}": list(numbers)
            for index, column in enumerate(self.marks)
            for row, numbers in enumerate(column)
            if numbers
        }
        return {
            "pageRows": PAGE_ROWS,
            "titles": [column.title for column in self.columns],
            "numeric": [column.numeric for column in self.columns],
            "styles": [column.style for column in self.columns],
            "cells": [list(column.cells) for column in self.columns],
            "choices": [i for i, column in enumerate(self.columns) if column.choices],
            "marks": marks,
            "opens": self.opens,
            "keys": list(self.keys),
        }


def grid_from_table(
    name: str, caption: str, table: Table, opens: str = "", keys: Sequence[str] = ()
) -> Grid:
    """Make a grid of a report's table: a text column first, then numeric columns."""
    columns = tuple(
        Column(title, [keep_interval_together(row[i].text) for row in table.rows], numeric=True)
        if i
        else Column(title, [row[i].text for row in table.rows])
        for i, title in enumerate(table.headers)
    )
    marks = [[row[i].notes for row in table.rows] for i in range(len(table.headers))]
    return Grid(name, caption, columns, table.notes, marks, opens, keys)


def keep_interval_together(text: str) -> str:
    """Keep the interval in ``text`` on one line; if space is short, it moves below the value."""
    value, bracket, ends = text.partition(" [")
    low, comma, high = ends.partition(", ")
    return f"{value}{bracket}{low}{comma.replace(' ', NO_BREAK)}{high}"
