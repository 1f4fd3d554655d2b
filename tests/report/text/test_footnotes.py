"""The footnotes of a table and of its cells."""

import dataclasses
from pathlib import Path

import pytest

from bench.analysis.questions.device_remarks import SlowJit, SlowPrecision
from bench.analysis.summary import CpuContention, Summary, summarize
from bench.records.trial_record import TrialRecord
from bench.report.text.duplicate_text import duplicate_lines
from bench.report.text.footnotes import UNFUSED_BATCH_NORM, of_summary, of_trials
from bench.report.text.latex import latex
from bench.report.text.result_json import run_results
from bench.report.text.table_formats import csv, markdown
from bench.spec.plan import make_plan
from bench.spec.suite import parse_suite
from tests.support.sample_records import make_run


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    return summarize(make_run(tmp_path / "run").path)


def test_unfused_batch_norm_is_noted_on_gpus_but_not_on_cpus(
    summary: Summary,
) -> None:
    assert UNFUSED_BATCH_NORM not in of_summary(summary)
    on_gpus = dataclasses.replace(summary, unfused_batch_norm=True)
    assert list(of_summary(on_gpus)).count(UNFUSED_BATCH_NORM) == 1
    for text in (markdown(on_gpus), latex(on_gpus)):
        assert "Keras 3" in text


def test_a_note_names_the_variants_that_train_identically(tmp_path: Path) -> None:
    content = {"name": "alike", "matrix": {"clip_threshold": [1.0, 2.0, 4.0]}}
    plan = make_plan(parse_suite(content))
    (line,) = duplicate_lines(plan.duplicates)
    assert "clip_threshold=4.0" in line
    assert "clip is none" in line
    folder = make_run(tmp_path / "alike", content)
    folder.write_info(folder.info().model_copy(update={"duplicates": plan.duplicates}))
    assert line in list(map(str, of_summary(summarize(folder.path))))


def test_duplicates_in_one_key_share_a_line_with_every_reason() -> None:
    norms = ("none", "layer", "group")
    matrix = {"norm": list(norms), "synchronized": [True, False]}
    plan = make_plan(parse_suite({"name": "alike", "matrix": matrix}))
    (line,) = duplicate_lines(plan.duplicates)
    assert all(f"norm is {norm}" in line for norm in norms)


def test_thousands_of_duplicates_share_a_line() -> None:
    matrix = {"clip_threshold": [float(n) for n in range(1, 2001)]}
    plan = make_plan(parse_suite({"name": "alike", "matrix": matrix}))
    (line,) = duplicate_lines(plan.duplicates)
    assert "1996 more" in line
    assert len(line) < 400


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
