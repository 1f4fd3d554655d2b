"""The table on wide and narrow terminals, and without a terminal."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from bench.analysis.summary import Summary, summarize
from bench.report.text.terminal import MAX_ROWS, show
from tests.support.sample_records import NORMS, make_run

LABELLED = {
    "name": "hostile",
    "blocks": 2,
    "variants": [{"label": "[matrix] plain"}, {"label": "[bold]x[/]", "norm": "bn_post"}],
    "compare": [{"axis": "label", "baseline": "[matrix] plain"}],
}


@pytest.fixture
def hostile(tmp_path: Path) -> Summary:
    return summarize(make_run(tmp_path / "run", LABELLED).path)


def printed_lines(summary: Summary, *, width: int, terminal: bool) -> list[str]:
    console = Console(
        file=io.StringIO(), force_terminal=terminal, width=width, no_color=True, color_system=None
    )
    show(summary, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_labels_that_look_like_markup_are_printed_literally(hostile: Summary) -> None:
    for terminal, width in ((True, 200), (True, 40), (False, 80)):
        text = "\n".join(printed_lines(hostile, width=width, terminal=terminal))
        assert "[matrix]" in text
        assert "[bold]x[/]" in text


def test_a_wide_terminal_shows_one_line_per_variant(hostile: Summary) -> None:
    lines = printed_lines(hostile, width=200, terminal=True)
    assert sum("1 (baseline)" in line and "[matrix] plain" in line for line in lines) == 1


@pytest.mark.parametrize("width", [40, 60, 80, 120, 160])
def test_a_narrow_terminal_keeps_columns_side_by_side_and_truncates_no_number(
    hostile: Summary, width: int
) -> None:
    lines = printed_lines(hostile, width=width, terminal=True)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    first = next(line for line in lines if line.startswith("[matrix]"))
    assert len(first.split("  ")) > 2  # a label, an epoch time and a ratio in one line
    wide = printed_lines(hostile, width=200, terminal=True)
    row = next(line for line in wide if line.startswith("[bold]"))
    interval = re.search(r"\[[\d.,−-]+, [\d.,−-]+\]", row)
    assert interval
    assert any(interval.group() in line for line in lines)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 160])
def test_a_cell_of_two_lines_is_printed_as_two_lines(hostile: Summary, width: int) -> None:
    assert "\\n" not in "\n".join(printed_lines(hostile, width=width, terminal=True))


def test_a_narrow_terminal_names_the_omitted_columns(hostile: Summary) -> None:
    text = " ".join(" ".join(printed_lines(hostile, width=60, terminal=True)).split())
    assert "width: n, " in text or "width: Throughput" in text
    assert ", Blocks" in text
    assert "Columns omitted" not in " ".join(printed_lines(hostile, width=200, terminal=True))


def test_without_a_terminal_lines_are_complete_and_aligned(hostile: Summary) -> None:
    lines = printed_lines(hostile, width=80, terminal=False)
    header = next(line for line in lines if line.startswith("Variant"))
    rows = [line for line in lines if line.startswith("[")]
    end = header.index("Test accuracy") + len("Test accuracy")
    assert all(row[end - 1] == "]" and row[end] == " " for row in rows)
    assert not any("\x1b" in line for line in lines)


def test_the_share_of_measured_training_is_printed(hostile: Summary) -> None:
    assert "was measured training" in printed_lines(hostile, width=80, terminal=False)[-1]


def test_characters_that_the_encoding_lacks_are_replaced(hostile: Summary) -> None:
    output = io.BytesIO()
    file = io.TextIOWrapper(output, encoding="ascii")
    show(hostile, Console(file=file, width=200, force_terminal=True))
    show(hostile, Console(file=file))
    file.flush()
    assert output.getvalue().count(b"Epoch time ? label=") == 2


def test_variants_beyond_the_maximum_are_only_counted(tmp_path: Path) -> None:
    rates = [0.001 * (i + 1) for i in range(MAX_ROWS + 5)]
    suite = {**NORMS, "blocks": 1, "matrix": {"learning_rate": rates}, "compare": []}
    summary = summarize(make_run(tmp_path / "run", suite).path)
    lines = printed_lines(summary, width=200, terminal=False)
    assert sum(line.startswith("learning_rate=") for line in lines) == MAX_ROWS
    assert "... and 5 more variants in the written report" in lines
