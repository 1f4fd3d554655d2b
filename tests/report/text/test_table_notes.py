"""The notes below a run's tables."""

import dataclasses
from pathlib import Path

from bench.analysis.summary import summarize
from bench.records.trial_record import TrialRecord
from bench.report.text.duplicate_text import duplicate_lines
from bench.report.text.latex import latex
from bench.report.text.table_formats import markdown
from bench.report.text.table_notes import UNFUSED_BATCH_NORM, table_notes
from bench.spec.plan import make_plan
from bench.spec.suite import parse_suite
from tests.support.sample_records import make_run


def test_unfused_batch_norm_is_noted_on_gpus_but_not_on_cpus(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run").path)
    assert UNFUSED_BATCH_NORM not in table_notes(summary)
    on_gpus = dataclasses.replace(summary, unfused_batch_norm=True)
    assert list(table_notes(on_gpus)).count(UNFUSED_BATCH_NORM) == 1
    for text in (markdown(on_gpus), latex(on_gpus)):
        assert "Keras 3" in text


def test_the_noise_and_the_cores_are_noted_once(tmp_path: Path) -> None:
    def measured(record: TrialRecord) -> TrialRecord:
        measures = record.measures.model_copy(update={"cpu_s": 3.8, "cpu_taken_share": 0.08})
        return record.model_copy(update={"measures": measures})

    notes = [*map(str, table_notes(summarize(make_run(tmp_path / "run", change=measured).path)))]
    (noise,) = (note for note in notes if note.startswith("A block's ratio varies by "))
    assert "4 degrees of freedom" in noise  # two comparisons of three blocks
    (cores,) = (note for note in notes if "CPU seconds" in note)
    assert "a trial used 2.0 on average" in cores  # 3.8 s in the 1.9 s after its imports
    assert "other work took 8.0 % of its cores" in cores


def test_resumed_blocks_have_a_warning(tmp_path: Path) -> None:
    def resumed(record: TrialRecord) -> TrialRecord:
        is_late = record.trial.variant.norm == "bn_pre" and record.trial.block == 2
        return record.model_copy(update={"invocation": int(is_late)})

    folder = make_run(tmp_path / "run", change=resumed, invocations=2)
    notes = {note.code: str(note) for note in table_notes(summarize(folder.path))}
    assert notes["resumed_blocks"].startswith("Warning: up to 1 block of a comparison began in one")
    unbroken = table_notes(summarize(make_run(tmp_path / "unbroken").path))
    assert "resumed_blocks" not in {note.code for note in unbroken}


def test_a_note_names_the_variants_that_train_identically(tmp_path: Path) -> None:
    content = {"name": "alike", "matrix": {"clip_threshold": [1.0, 2.0, 4.0]}}
    plan = make_plan(parse_suite(content))
    (line,) = duplicate_lines(plan.duplicates)
    assert "clip_threshold=4.0" in line
    assert "clip is none" in line
    folder = make_run(tmp_path / "alike", content)
    folder.write_info(folder.info().model_copy(update={"duplicates": plan.duplicates}))
    assert line in list(map(str, table_notes(summarize(folder.path))))


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
