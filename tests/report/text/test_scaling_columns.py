"""The scaling columns of the table and of the CSV."""

import csv as csv_reader
import io
from pathlib import Path

import pytest

from bench.analysis.summary import Summary, summarize
from bench.records.trial_record import TrialRecord
from bench.report.text.footnotes import NO_COMMUNICATION
from bench.report.text.scaling_columns import TITLES, TRANSPORT, per_device_throughput
from bench.report.text.summary_table import text_table
from bench.report.text.table_formats import csv
from tests.analysis.questions.test_scaling import SUITE, exact
from tests.support.sample_records import NORMS, make_run


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    return summarize(make_run(tmp_path / "run", SUITE, epoch_s=exact).path)


def test_each_kind_of_efficiency_has_a_column(summary: Summary) -> None:
    table = text_table(summary)
    assert table.headers[-len(TITLES) :] == tuple(TITLES.values())
    rows = {row[0].text: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    titles = list(TITLES.values())
    assert rows["strong"][titles[0]].text.startswith("0.781")
    assert rows["one"][titles[0]].text == "1 (baseline)"
    assert rows["strong"][titles[2]].text == "–"
    assert rows["silent"][titles[4]].text == "–"
    assert [rows[label]["N"].text for label in ("alone", "weak")] == ["1", "2"]


def test_throughput_per_device_is_the_throughput_over_the_devices(summary: Summary) -> None:
    weak = next(v for v in summary.variants if v.label == "weak")
    per_device = per_device_throughput(weak)
    assert per_device is not None and weak.examples_per_s is not None
    assert per_device.value == weak.examples_per_s.value / 2
    assert any(h.startswith("Throughput per device (") for h in text_table(summary).headers)


def test_accuracy_without_communication_is_marked_as_meaningless(summary: Summary) -> None:
    table = text_table(summary)
    number = table.notes.index(NO_COMMUNICATION) + 1
    column = table.headers.index("Test accuracy")
    labels = [row[0].text for row in table.rows if number in row[column].notes]
    assert labels == ["silent"]


def test_the_csv_has_the_same_numbers_raw(summary: Summary) -> None:
    rows = {row["label"]: row for row in csv_reader.DictReader(io.StringIO(csv(summary)))}
    assert float(rows["strong"]["efficiency_strong_over_same_strategy"]) == pytest.approx(0.78125)
    assert float(rows["strong"]["communication_share"]) == pytest.approx(0.25)
    assert rows["alone"]["efficiency_weak_over_same_strategy"] == ""
    assert rows["weak"]["replicas"] == "2"


def test_a_run_on_one_device_has_no_scaling_columns(tmp_path: Path) -> None:
    plain = summarize(make_run(tmp_path / "plain", NORMS).path)
    assert not {"N", *TITLES.values()} & set(text_table(plain).headers)
    assert "replicas" not in csv(plain).splitlines()[0]


def test_the_table_has_the_transport_that_nccl_used(tmp_path: Path) -> None:
    def add_transport(record: TrialRecord) -> TrialRecord:
        transports = ["NET/Socket"] if record.trial.variant.total_replicas > 1 else None
        return record.model_copy(update={"resolved": {"nccl_transport": transports}})

    table = text_table(summarize(make_run(tmp_path / "run", SUITE, change=add_transport).path))
    column = table.headers.index(TRANSPORT)
    assert {row[0].text: row[column].text for row in table.rows}["weak"] == "NET/Socket"
    assert {row[0].text: row[column].text for row in table.rows}["one"] == "–"


def test_without_nccl_there_is_no_transport_column(summary: Summary) -> None:
    assert TRANSPORT not in text_table(summary).headers
