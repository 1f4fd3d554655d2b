"""A table that the page sorts, filters and turns over: columns of text and of numbers.

Usage:
    grid = grid_from_table("overview-1", "Overview", text_table(summary), opens)
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
    """One column; ``cells`` hold text, numbers (shown as they are) or None."""

    title: str
    cells: Sequence[Any]
    numeric: bool = False
    choices: bool = False
    """Few values, which a reader may choose from."""

    @cached_property
    def style(self) -> str:
        """The class of its cells: numbers to the right, sentences with room."""
        if self.numeric:
            return "number"
        longest = max((len(str(cell)) for cell in self.cells), default=0)
        return "wide" if longest > SENTENCE else ""


NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Grid:
    """A table of the page. ``opens`` names what a row's first cell leads to, row by row."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    marks: Sequence[Sequence[Sequence[int]]] = ()
    """By column and row, the numbers of the notes that belong to a cell; () for none at all."""
    opens: str = ""
    """What a row opens: "variant", "trial" or nothing."""
    keys: Sequence[str] = ()
    """What it opens, by row."""

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.columns[0].cells) if self.columns else 0

    def first_rows(self) -> list[list[Any]]:
        """The rows that stand in the page before any script has run."""
        count = min(self.size, PAGE_ROWS)
        return [[column.cells[i] for column in self.columns] for i in range(count)]

    def marks_of(self, row: int) -> list[str]:
        """The numbers of the notes of each of a row's cells, as text."""
        found = [column[row] if column else () for column in self.marks]
        texts = [" ".join(map(str, numbers)) for numbers in found]
        return texts or [""] * len(self.columns)

    def data(self) -> dict[str, Any]:
        """For the script; only marks that exist."""
        marks = {
            f"{row},{number}": list(found)
            for number, column in enumerate(self.marks)
            for row, found in enumerate(column)
            if found
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
    """The table of a report as the page shows it: the first column text, numbers after it."""
    columns = tuple(
        Column(title, [keep_interval_together(row[i].text) for row in table.rows], numeric=True)
        if i
        else Column(title, [row[i].text for row in table.rows])
        for i, title in enumerate(table.headers)
    )
    marks = [[row[i].notes for row in table.rows] for i in range(len(table.headers))]
    return Grid(name, caption, columns, table.notes, marks, opens, keys)


def keep_interval_together(text: str) -> str:
    """``text``, an interval in it unbroken: where room is short it stands below its value."""
    value, bracket, ends = text.partition(" [")
    low, comma, high = ends.partition(", ")
    return f"{value}{bracket}{low}{comma.replace(' ', NO_BREAK)}{high}"
