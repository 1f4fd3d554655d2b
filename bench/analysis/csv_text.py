"""A table as CSV that no spreadsheet runs.

Usage:
    path.write_bytes(as_csv(frame))

A cell of text that begins as a formula does (= + - @, a tab, a line's end) is led by an apostrophe,
and so is one that begins with an apostrophe: who reads the file takes one away. Numbers stay as
they are, negative ones too. A spreadsheet whose separator is ; or a tab splits a cell there, so
that what follows one of these or a line's end has an apostrophe of its own where it begins so.
"""

import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_RUN = r"^['=+\-@\t\r\n＝＋－＠]"
_SEPARATOR = r"[;\t\r\n]"
_INSIDE = re.compile(rf"""({_SEPARATOR}[" ]*)(['=+\-@＝＋－＠])""")
"""Quotes stay in a cell that is split between them, and some spreadsheets leave out blanks."""
_NUMBER = r"^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$"


def as_csv(frame: "pd.DataFrame") -> bytes:
    """``frame`` with its header, UTF-8; what is null is empty."""
    import pyarrow
    from pyarrow.csv import write_csv

    guarded = frame.assign(**{name: _guarded(frame[name]) for name in frame.columns})
    sink = io.BytesIO()
    write_csv(pyarrow.Table.from_pandas(guarded, preserve_index=False), sink)
    return sink.getvalue()


def _guarded(column: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    if not isinstance(column.dtype, pd.StringDtype):
        return column
    runs = column.str.contains(_RUN, regex=True, na=False)
    runs &= ~column.str.contains(_NUMBER, regex=True, na=False)
    split = column.str.contains(_SEPARATOR, regex=True, na=False)
    column = column.where(~split, column[split].map(_guarded_inside))
    return column.where(~runs, "'" + column)


def _guarded_inside(text: str) -> str:
    return _INSIDE.sub(r"\1'\2", text)
