"""A table fits a narrow screen by wrapping first and by omitting columns last."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.text.narrow_table import GAP, Grid, fit, natural_widths
from bench.report.text.summary_table import Table
from bench.report.text.table_cell import Cell

HEADERS = ("Variant", "n", "Epoch time (ms)", "Throughput (k examples/s)", "Epoch time ÷ norm=none")
ROWS = (
    ("global_batch_size=32, norm=none", "3", "692 [666, 718]", "79.5 [76.6, 82.6]", "1 (baseline)"),
    ("global_batch_size=32, norm=bn_post", "3", "1031 [975, 1090]", "53.3 [50.5, 56.4]", "1.49"),
)
TABLE = Table(
    headers=HEADERS,
    rows=tuple(tuple(Cell(text, (1,) if text == "1.49" else ()) for text in row) for row in ROWS),
    notes=("a note",),
    optional_columns=(3, 1),
)


def total(grid: Grid) -> int:
    return sum(grid.widths) + GAP * (len(grid.widths) - 1)


def test_a_table_that_fits_is_unchanged() -> None:
    width = sum(natural_widths(TABLE)) + GAP * (len(HEADERS) - 1)
    grid = fit(TABLE, width)
    assert grid.headers == HEADERS
    assert grid.rows[1] == (*ROWS[1][:4], "1.49¹")
    assert total(grid) == width


def test_headers_and_labels_wrap_before_other_cells() -> None:
    grid = fit(TABLE, 100)
    assert not any("\n" in cell for row in grid.rows for cell in row)
    assert grid.omitted_headers == ()
    assert total(grid) <= 100


def test_intervals_move_below_their_values_before_a_column_is_omitted() -> None:
    grid = fit(TABLE, 70)
    assert grid.rows[0][2] == "692\n[666, 718]"
    assert grid.rows[0][4] == "1\n(baseline)"
    assert grid.omitted_headers == ()
    assert total(grid) <= 70


def test_columns_are_omitted_in_the_order_that_the_table_gives() -> None:
    assert fit(TABLE, 62).omitted_headers == (HEADERS[3],)
    assert set(fit(TABLE, 40).omitted_headers) == {HEADERS[1], HEADERS[3]}
    assert fit(TABLE, 5).headers == (HEADERS[0], HEADERS[2], HEADERS[4])


@given(st.integers(40, 300))
def test_every_width_from_40_fits_without_a_truncated_number(width: int) -> None:
    grid = fit(TABLE, width)
    assert total(grid) <= width
    shown = [i for i, header in enumerate(HEADERS) if header in grid.headers]
    for row, cells in zip(ROWS, grid.rows, strict=True):
        assert [c.replace("\n", " ").rstrip("¹") for c in cells] == [row[i] for i in shown]
        for cell, column in zip(cells[1:], grid.widths[1:], strict=True):
            assert max(map(len, cell.split("\n"))) <= column


@pytest.mark.parametrize("width", [1, 80])
def test_a_table_without_rows_has_only_headers(width: int) -> None:
    assert fit(Table(HEADERS, (), ()), width).rows == ()
