"""One trial, and the list of a run's trials, as text."""

from pathlib import Path

import pytest

from bench.records.measures import Measures
from bench.records.trial_record import ExcludedGpus, TrialRecord
from bench.report.text.trial_list import trial_rows, trials_text
from bench.report.text.trial_text import trial_text, value_text
from bench.spec.plan import Trial, make_plan
from tests.support.sample_records import NORMS, looked_at, make_record, make_run
from tests.support.sample_suites import TINY, suite_of


@pytest.fixture
def trial() -> Trial:
    return make_plan(suite_of(TINY)).trials[0]


def rows(text: str) -> dict[str, str]:
    """Return the texts of ``text`` by their names."""
    lines = (line.strip().split("  ", 1) for line in text.splitlines() if line.startswith("  "))
    return {name: rest[0].strip() for name, *rest in lines if rest}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("epoch_s", 0.0123, "12.30 ms"),
        ("examples_per_s", 79_080.0, "79.08 k examples/s"),
        ("peak_rss_bytes", 949_669_888, "949.7 MB"),
        ("rendezvous_s", 0.000448, "448.0 µs"),
        ("energy_j", 1250.0, "1.250 kJ"),
        ("parameters", 266_610, "266,610"),
        ("test_accuracy", 0.7794, "0.7794"),
        ("throttled", False, "False"),
    ],
)
def test_a_number_has_the_unit_that_its_name_ends_with(name: str, value: float, text: str) -> None:
    assert value_text(name, value) == text


def test_a_trial_is_described_in_groups_of_column_names(trial: Trial) -> None:
    text = trial_text(make_record(trial))
    lines = text.splitlines()
    assert lines[0] == f"{trial.trial_id}  {trial.label}"
    titles = [line for line in lines[1:] if line and line[0] != " "]
    assert titles == ["Settings", "Measured", "Epochs", "Resolved"]
    texts = rows(text)
    assert texts["status"] == "completed"
    assert texts["hidden"] == "[16]"
    assert texts["cold_start_s"] == "1.000 s"
    assert texts["peak_rss_bytes"] == "1.000 GB"
    assert texts["window_steps"] == "100"


def test_throughput_is_the_examples_of_an_epoch_over_the_epoch_time(tmp_path: Path) -> None:
    content = {**NORMS, "variant": {**NORMS["variant"], "epochs": 4}}
    times = (9.0, 0.5, 0.5, 3.0)
    folder = make_run(tmp_path / "run", content, epoch_s=lambda _, epoch: times[epoch])
    record = next(iter(folder.records()))
    examples = record.epochs[0].examples
    assert rows(trial_text(record))["examples_per_s"] == value_text(
        "examples_per_s", examples / 0.5
    )
    row = trial_rows(folder.info(), [record])[0]
    assert (row.epoch_s, row.examples_per_s) == (0.5, examples / 0.5)


def test_missing_measurements_are_listed_by_name(trial: Trial) -> None:
    record = make_record(trial).model_copy(update={"measures": Measures()})
    text = trial_text(record)
    assert "energy_j" not in rows(text)
    assert "energy_j" in text.partition("not measured:")[2]


def test_every_epoch_has_a_line_and_the_warm_up_is_marked(trial: Trial) -> None:
    text = trial_text(make_record(trial)).partition("\nEpochs\n")[2].partition("\n\n")[0]
    header, first, second = text.splitlines()
    assert header.split()[:3] == ["epoch", "epoch_s", "examples_per_s"]
    assert "clipped_steps" not in header
    assert first.split()[:2] == ["0", "(warm-up)"]
    assert second.split()[0] == "1"


def test_a_failed_trial_has_its_reason_and_the_end_of_its_log(trial: Trial) -> None:
    failed = TrialRecord(
        trial=trial, status="failed", error="ValueError: no", log_tail="one\n\x1b[2Jtwo\n"
    )
    text = trial_text(failed)
    assert rows(text)["error"] == "ValueError: no"
    assert text.endswith("End of the log\n  one\n  [2Jtwo")


def test_warnings_and_layer_inspections_are_shown(trial: Trial) -> None:
    variant = trial.variant.model_copy(update={"health_epochs": (0, -1), "max_steps": 3})
    record = looked_at(make_record(trial.model_copy(update={"variant": variant})))
    excluded = ExcludedGpus(node="n", devices=("GPU-1",), reason="somebody's")
    texts = rows(
        trial_text(record.model_copy(update={"left_out": (excluded,), "warnings": ("GPU-2 held",)}))
    )
    assert "GPU-1" in texts["warning 1"]
    assert texts["warning 2"] == "GPU-2 held"
    assert "3 of 8 steps" in texts["epochs capped"]
    assert "0, 2" in texts["layers"]


def test_the_trials_of_a_run_are_listed_in_the_order_of_the_plan(tmp_path: Path) -> None:
    def only_batch_norm(record: TrialRecord) -> TrialRecord | None:
        return None if record.trial.variant.norm == "none" else record

    folder = make_run(tmp_path / "run", NORMS, change=only_batch_norm)
    listed = trial_rows(folder.info(), folder.records())
    assert [row.trial_id for row in listed] == list(folder.info().trial_ids)
    missing = [row for row in listed if row.status is None]
    assert {row.label for row in missing} == {"norm=none"}
    assert all(row.epoch_s is None for row in missing)
    lines = trials_text(listed).splitlines()
    assert len(lines) == 1 + len(listed)
    assert sum("no record" in line for line in lines) == len(missing)
