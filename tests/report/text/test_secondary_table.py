"""The second table has only columns with values, in all three formats."""

import csv as csv_reader
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.summary import Summary, summarize
from bench.records.trial_record import TrialRecord
from bench.report.text.latex import latex
from bench.report.text.secondary_table import TITLE, secondary_notes, secondary_table
from bench.report.text.table_formats import csv, markdown
from tests.support.sample_records import NORMS, make_run, no_record

TARGET = {
    **NORMS,
    "variant": {"epochs": 3, "target_accuracy": 0.8},
    "matrix": {"clip": ["none", "norm"]},
    "compare": [{"axis": "clip", "baseline": "none"}],
}


def clipped(record: TrialRecord) -> TrialRecord:
    if record.trial.variant.clip == "none":
        return record
    steps = {"clipped_steps": 859, "skipped_steps": 2}
    epochs = tuple(e.model_copy(update=steps) for e in record.epochs)
    return record.model_copy(update={"epochs": epochs})


def reached_only_in(*blocks: int) -> Callable[[TrialRecord], TrialRecord]:
    """Return a change after which only trials of ``blocks`` reach a target."""

    def change(record: TrialRecord) -> TrialRecord:
        if record.trial.block in blocks:
            return record
        epochs = tuple(e.model_copy(update={"val_accuracy": 0.1}) for e in record.epochs)
        return record.model_copy(update={"epochs": epochs})

    return change


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    return summarize(make_run(tmp_path / "run", TARGET, change=clipped).path)


def column(summary: Summary, header: str) -> list[str]:
    table = secondary_table(summary)
    assert table is not None
    return [row[table.headers.index(header)].text for row in table.rows]


def test_it_has_a_row_per_variant_and_only_columns_with_values(summary: Summary) -> None:
    table = secondary_table(summary)
    assert table is not None
    assert table.headers == (
        "Variant",
        "Parameters",
        "Steps an epoch",
        "Target accuracy",
        "Time to accuracy (s)",
        "Time to accuracy, cold start too (s)",
        "Cold start (s)",
        "Clipped steps (%)",
        "Skipped steps (%)",
        "Peak memory (GB)",
    )
    assert [cell.text for cell in table.rows[0]] == [
        *("clip=none", "266610", "1718", "0.8", "1.02; mean 1.02 [0.97, 1.07]"),
        *("2.02 [1.97, 2.07]",),
        *("1.00 [1.00, 1.00]", "–", "–", "1.00 [1.00, 1.00]"),
    ]
    assert column(summary, "Clipped steps (%)") == ["–", "50.0 [50.0, 50.0]"]
    assert column(summary, "Skipped steps (%)") == ["–", "0.116 [0.116, 0.116]"]


def test_without_a_target_or_clipping_their_columns_are_missing(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run").path)
    table = secondary_table(summary)
    assert table is not None
    assert table.headers == (
        *("Variant", "Parameters", "Steps an epoch", "Cold start (s)", "Peak memory (GB)"),
    )
    assert all(
        "pped steps" not in text and "accuracy" not in text for text in secondary_notes(summary)
    )


@pytest.mark.parametrize(
    ("blocks", "text", "text_with_cold_start", "median"),
    [
        ((), "∞ (not reached)", "not reached", "inf"),
        ((0,), "∞ (reached in 1 of 3)", "reached in 1 of 3", "inf"),
        ((0, 2), "1.04 (reached in 2 of 3)", "reached in 2 of 3", "1.041"),
    ],
    ids=str,
)
def test_the_time_to_a_missed_target_is_infinite(
    tmp_path: Path, blocks: tuple[int, ...], text: str, text_with_cold_start: str, median: str
) -> None:
    summary = summarize(make_run(tmp_path / "run", TARGET, change=reached_only_in(*blocks)).path)
    headers = [h for h in table_headers(summary) if h.startswith("Time to accuracy")]
    assert [column(summary, header) for header in headers] == [
        [text] * 2,
        [text_with_cold_start] * 2,
    ]
    rows = list(csv_reader.DictReader(io.StringIO(csv(summary))))
    assert [row["time_to_accuracy_s"] for row in rows] == ["", ""]
    assert [row["target_reached"] for row in rows] == [str(len(blocks))] * 2
    assert [row["target_trials"] for row in rows] == ["3"] * 2
    assert [row["time_to_accuracy_s_median"] for row in rows] == [median] * 2


def table_headers(summary: Summary) -> tuple[str, ...]:
    table = secondary_table(summary)
    assert table is not None
    return table.headers


def test_every_format_has_the_table(summary: Summary) -> None:
    text, document = markdown(summary), latex(summary)
    assert f"## {TITLE}" in text and rf"\section*{{{TITLE}}}" in document
    assert "| clip=norm | 266610 | 1718 | 0.8 |" in text
    assert r"clip=norm & 266610 & 1718 & 0.8 &" in document
    assert document.count(r"\begin{longtable}") == 2
    for note in secondary_notes(summary):
        assert note in text


def test_csv_has_raw_numbers_and_leaves_unknown_values_empty(summary: Summary) -> None:
    plain, norm = csv_reader.DictReader(io.StringIO(csv(summary)))
    secondary: Any = summary.variants[1].secondary_metrics
    assert int(norm["parameters"]) == 266_610
    assert float(norm["clipped_share"]) == secondary.means["clipped_share"].value
    assert float(norm["time_to_accuracy_s_low"]) == secondary.target.time_s.low
    assert (plain["clipped_share"], plain["clipped_share_n"]) == ("", "0")
    assert float(norm["skipped_share"]) == pytest.approx(2 / 1718)


def test_a_run_without_records_has_no_second_table(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", change=no_record).path)
    assert secondary_table(summary) is None
    assert TITLE not in markdown(summary) and TITLE not in latex(summary)
