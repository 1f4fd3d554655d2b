"""No cell of a CSV file is run by a spreadsheet, and each is read back as it was."""

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.csv_text import as_csv

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
STARTS = st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "\n", "'", "''", "＝", "-1"])


def cells(*texts: str | None) -> list[str]:
    frame = pd.DataFrame({"label": pd.Series(texts, dtype="str")})
    _, *rows = csv.reader(io.StringIO(as_csv(frame).decode(), newline=""))
    return [row[0] if row else "" for row in rows]


SPLIT = st.lists(st.sampled_from([*";\t\r\n=+-@'\" a＝", "-1"]), max_size=8).map("".join)
PARTS = st.builds("".join, st.tuples(STARTS, TEXTS | SPLIT, SPLIT))
BEHIND_A_SEPARATOR = re.compile("([;\t\r\n][\" ]*)'")


@given(st.lists(PARTS, min_size=1))
def test_a_cell_is_read_back_as_it_was_and_never_begins_as_a_formula(texts: list[str]) -> None:
    for cell, text in zip(cells(*texts), texts, strict=True):
        assert BEHIND_A_SEPARATOR.sub(r"\1", cell.removeprefix("'")) == text
        if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
            float(cell)
        for part in re.split("[;\t\r\n]", cell)[1:]:
            assert part.lstrip('" ')[:1] not in [*"=+-@＝＋－＠"]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("-1.5e-3", "-1.5e-3"),
        ("+1", "+1"),
        ("norm=none", "norm=none"),
        ("a;=1+1;b", "a;'=1+1;b"),
        ('a;"=1+1"', 'a;"\'=1+1"'),
        ("a\n=1+1", "a\n'=1+1"),
        ("8;16", "8;16"),
        (None, ""),
    ],
)
def test_texts_are_guarded_and_numbers_are_not(text: str | None, cell: str) -> None:
    assert cells(text, "x") == [cell, "x"]


def test_columns_of_numbers_stay_as_they_are() -> None:
    frame = pd.DataFrame({"a": [-1.5, None], "b": pd.Series([-1, None], dtype="Int64")})
    assert as_csv(frame).decode().splitlines()[1:] == ["-1.5,-1", ","]
