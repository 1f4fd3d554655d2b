"""The footnotes of a table's cells."""

import dataclasses
from pathlib import Path

import pytest

from bench.analysis.questions.device_remarks import SlowJit, SlowPrecision
from bench.analysis.summary import Summary, summarize
from bench.analysis.variant_summary import CpuContention
from bench.records.trial_record import TrialRecord
from bench.report.text.footnotes import of_trials
from bench.report.text.result_json import run_results
from bench.report.text.table_formats import csv, markdown
from tests.support.sample_records import make_run


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    return summarize(make_run(tmp_path / "run").path)


def test_warnings_of_completed_trials_are_notes_of_their_variant(tmp_path: Path) -> None:
    def add_warnings(record: TrialRecord) -> TrialRecord:
        if record.trial.variant.norm != "bn_pre":
            return record
        update = {
            "warnings": ("gate: no gradient", *(f"{record.trial.trial_id} {n}" for n in "ab"))
        }
        return record.model_copy(update=update)

    summary = summarize(make_run(tmp_path / "warned", change=add_warnings).path)
    notes = {
        variant.label: [str(note) for note in of_trials(variant) if note.code == "trial_warnings"]
        for variant in summary.variants
    }
    warnings = notes.pop("norm=bn_pre")
    assert warnings[0].startswith("gate: no gradient")
    assert len(warnings) == 4
    assert "4 further" in warnings[-1]
    assert not any(notes.values())
    assert "gate: no gradient" in markdown(summary)
    codes = [note.code for v in run_results(summary).variants for note in v.notes]
    assert codes.count("trial_warnings") == 4


@pytest.mark.parametrize(
    ("slow", "parts"),
    [
        (SlowPrecision("mixed_float16", None), ["mixed_float16"]),
        (SlowPrecision("mixed_bfloat16", (7, 5)), ["7.5", "mixed_bfloat16", "8.0"]),
    ],
)
def test_a_precision_that_is_slow_on_the_device_is_a_note_on_the_times(
    summary: Summary, slow: SlowPrecision, parts: list[str]
) -> None:
    first, *others = summary.variants
    changed = dataclasses.replace(first, slow_precision=slow)
    text = csv(dataclasses.replace(summary, variants=(changed, *others)))
    rows = text.splitlines()[1:]
    assert [all(part in row for part in parts) for row in rows] == [True, False, False]


def test_a_jit_that_is_slow_is_a_note_on_the_times(summary: Summary) -> None:
    first, *others = summary.variants
    changed = dataclasses.replace(first, slow_jit=SlowJit("convnet", "epoch", 29.7))
    text = csv(dataclasses.replace(summary, variants=(changed, *others)))
    rows = text.splitlines()[1:]
    parts = ("convnet", "epoch", "30 times")
    assert [all(part in row for part in parts) for row in rows] == [True, False, False]


def test_cores_that_other_work_used_are_a_note_on_the_times_with_the_share(
    summary: Summary,
) -> None:
    first, *others = summary.variants
    contention = CpuContention(count=1, largest_share=0.4321)
    changed = dataclasses.replace(first, cpu_contention=contention)
    text = csv(dataclasses.replace(summary, variants=(changed, *others)))
    assert ["43 %" in row for row in text.splitlines()[1:]] == [True, False, False]
