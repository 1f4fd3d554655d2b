"""The notes below a run's tables."""

import dataclasses
from pathlib import Path

from bench.analysis.summary import summarize
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
