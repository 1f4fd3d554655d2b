"""Write a table as CSV in which no cell runs as a spreadsheet formula.

Usage:
    path.write_bytes(as_csv(frame))

A text cell that starts like a formula (= + - @, a tab, a line break) gets a leading apostrophe, and
so does a cell that starts with an apostrophe: a reader of the file strips one. Numbers, including
negative ones, are written as they are. A spreadsheet whose separator is ; or a tab splits cells at
it, so text after a separator or a line break gets an apostrophe in the same cases.
"""

import io
import re
from typing import Any

import pandas as pd
import pyarrow
from pyarrow.csv import write_csv

_FORMULA_START = r"^['=+\-@\t\r\n＝＋－＠]"
_SEPARATOR = r"[;\t\r\n]"
_INNER_START = re.compile(rf"""({_SEPARATOR}[" ]*)(['=+\-@＝＋－＠])""")
"""A split cell keeps the quotes in it, and some spreadsheets skip blanks before a formula."""
_NUMBER = r"^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$"


def as_csv(frame: pd.DataFrame) -> bytes:
    """Return ``frame`` as UTF-8 CSV with a header; nulls become empty cells."""
    escaped = frame.assign(**{name: _escape_formulas(frame[name]) for name in frame.columns})
    buffer = io.BytesIO()
    write_csv(pyarrow.Table.from_pandas(escaped, preserve_index=False), buffer)
    return buffer.getvalue()


def _escape_formulas(column: "pd.Series[Any]") -> "pd.Series[Any]":
    if not isinstance(column.dtype, pd.StringDtype):
        return column
    is_formula = column.str.contains(_FORMULA_START, regex=True, na=False)
    is_formula &= ~column.str.contains(_NUMBER, regex=True, na=False)
    is_split = column.str.contains(_SEPARATOR, regex=True, na=False)
    column = column.where(~is_split, column[is_split].map(_escape_after_separators))
    return column.where(~is_formula, "'" + column)


def _escape_after_separators(text: str) -> str:
    return _INNER_START.sub(r"\1'\2", text)
