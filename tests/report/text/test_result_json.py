"""The JSON results are valid by the schema and equal to the tables."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench.analysis.loading.data_frames import load_trials
from bench.analysis.summary import Summary, summarize
from bench.api import RunResult
from bench.records.metric import METRICS
from bench.records.trial_record import Status, TrialRecord
from bench.report.text.number_text import interval, number, scale_of
from bench.report.text.ratio_text import RATIO_DIGITS
from bench.report.text.result_json import report_document, run_document, run_results
from bench.report.text.result_schema import results_schema
from bench.report.text.summary_table import text_table
from bench.report.text.table_formats import summary_frame
from tests.support.paths import ROOT
from tests.support.sample_records import NORMS, make_run

SCALED: dict[str, Any] = {
    "name": "scaled",
    "blocks": 2,
    "variants": [
        {"label": "one"},
        {"label": "two", "strategy": "mirrored", "replicas": 2, "global_batch_size": 32},
    ],
    "compare": [{"axis": "label", "baseline": "one"}],
}


def parse(text: str, model: str) -> Any:
    """Parse ``text`` as strict JSON and validate it by the published schema."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is not JSON")

    content = json.loads(text, parse_constant=refuse)
    schema = json.loads((ROOT / "docs/results.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(content)
    model_schema = {**schema, "oneOf": [{"$ref": f"#/$defs/{model}"}]}
    jsonschema.Draft202012Validator(model_schema).validate(content)
    return content


def report_runs(*summaries: Summary) -> list[Any]:
    runs: list[Any] = parse(report_document([], summaries), "ReportDocument")["runs"]
    return runs


def one_diverged(record: TrialRecord) -> TrialRecord:
    """Make one trial diverge."""
    update = {"status": "diverged", "error": "the training loss was nan in epoch 0", "epochs": ()}
    matches = record.trial.variant.norm == "bn_pre" and record.trial.block == 1
    return record.model_copy(update=update) if matches else record


def test_the_schema_file_is_up_to_date() -> None:
    stored = json.loads((ROOT / "docs/results.schema.json").read_text())
    assert stored == results_schema(), "make reference"


def test_a_run_has_its_outcome_and_its_results(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    statuses: dict[str, Status] = {"x": "completed", "y": "failed"}
    result = RunResult(folder.path, statuses, succeeded=False, summary=summarize(folder.path))
    content = parse(run_document(result), "RunDocument")
    assert content["run"] == str(folder.path)
    assert content["succeeded"] is False
    assert content["statuses"] == {"completed": 1, "failed": 1}
    assert content["trials"] == {"x": "completed", "y": "failed"}
    assert [v["n"] for v in content["results"]["variants"]] == [3, 3, 3]


def test_a_note_names_its_subject_and_a_missing_accuracy_has_no_notes(
    tmp_path: Path,
) -> None:
    variant = {"dataset": "synthetic", "shape": [4, 4, 1], "examples": 2560, "max_steps": 3}
    content = {**NORMS, "variant": {**NORMS["variant"], **variant}}

    def change(record: TrialRecord) -> TrialRecord:
        if record.trial.variant.norm != "none":
            return record.model_copy(update={"warnings": ("gate: no gradient",)})
        epochs = [e.model_copy(update={"val_accuracy": None}) for e in record.epochs]
        measures = record.measures.model_copy(update={"test_accuracy": None})
        return record.model_copy(update={"epochs": tuple(epochs), "measures": measures})

    summary = summarize(make_run(tmp_path / "run", content, change=change).path)
    (run,) = report_runs(summary)
    assert {note["about"] for note in run["notes"]} == {"run"}
    none, bn_post, _ = run["variants"]
    about = {note["code"]: note["about"] for note in bn_post["notes"]}
    assert about["trial_warnings"] == "trials"
    assert about["untimed"] == about["extrapolated"] == "time"
    assert about["synthetic"] == about["cut_short"] == "accuracy"
    assert {note["about"] for note in bn_post["comparisons"][0]["notes"]} == {"ratio"}
    assert none["val_accuracy"] is none["test_accuracy"] is None
    assert "accuracy" not in {note["about"] for note in none["notes"]}


def test_every_number_equals_the_one_in_the_table(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", change=one_diverged).path)
    (run,) = report_runs(summary)
    table = text_table(summary)
    frame = summary_frame(summary, table)
    columns = {"epoch_s": 2, "examples_per_s": 3, "val_accuracy": 4, "test_accuracy": 5}
    for name, column in columns.items():
        estimates = [v[name] for v in run["variants"]]
        scale = scale_of((e["value"] for e in estimates), METRICS[name])
        for i, (e, row) in enumerate(zip(estimates, table.rows, strict=True)):
            text = interval(e["value"], e["low"], e["high"], METRICS[name].digits, scale)
            assert text == row[column].text
            assert e["value"] == frame[name][i]
            assert e["n"] == frame[f"{name}_n"][i]
    for v, row in zip(run["variants"], table.rows, strict=True):
        (ratio,) = v["comparisons"]
        text = "1 (baseline)"
        if not ratio["is_baseline"]:
            text = interval(ratio["ratio"], ratio["low"], ratio["high"], RATIO_DIGITS)
            blocks = [number(b["ratio"], RATIO_DIGITS) for b in ratio["block_ratios"]]
            assert len(blocks) == ratio["blocks"]
            text += f" ({'; '.join(blocks)})" if ratio["low"] is None else ""
        assert text == row[6].text


def test_every_footnote_of_a_row_is_a_note_with_a_code(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", change=one_diverged).path)
    (run,) = report_runs(summary)
    table = text_table(summary)
    for v, row in zip(run["variants"], table.rows, strict=True):
        notes = [*v["notes"], *(n for c in v["comparisons"] for n in c["notes"])]
        footnotes = {table.notes[n - 1] for cell in row for n in cell.notes}
        assert {note["text"] for note in notes} == footnotes
    variant = run["variants"][2]
    assert [note["code"] for note in variant["notes"]] == ["not_completed"]
    assert [note["code"] for note in variant["comparisons"][0]["notes"]] == ["blocks_not_completed"]
    assert variant["failures"] == [
        {"status": "diverged", "count": 1, "reason": "the training loss was nan in epoch 0"}
    ]
    assert {"intervals", "ratios"} <= {note["code"] for note in run["notes"]}
    assert all(note["code"] for note in run["notes"])


def test_the_time_to_a_missed_target_is_infinite(tmp_path: Path) -> None:
    suite = {**NORMS, "variant": {"epochs": 3, "target_accuracy": 0.99}}
    (run,) = report_runs(summarize(make_run(tmp_path / "run", suite).path))
    for v in run["variants"]:
        target = v["target"]
        assert (target["reached"], target["trials"], target["median_s"]) == (0, 3, "Infinity")
        assert target["time_s"] is None


def test_numbers_are_unrounded_and_a_single_block_has_no_interval(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", {**NORMS, "blocks": 1}, epoch_s=lambda _, e: math.pi + e)
    (run,) = report_runs(summarize(folder.path))
    seconds = load_trials(folder.path)["epoch_s"].tolist()
    assert [v["epoch_s"]["value"] for v in run["variants"]] == pytest.approx(seconds, rel=1e-15)
    assert [(v["epoch_s"]["low"], v["epoch_s"]["n"]) for v in run["variants"]] == [(None, 1)] * 3


def test_efficiencies_and_several_runs_are_included(tmp_path: Path) -> None:
    summaries = [summarize(make_run(tmp_path / name, SCALED).path) for name in ("a", "b")]
    first, second = report_runs(*summaries)
    assert first["variants"] == second["variants"]
    two = first["variants"][1]
    assert {share["name"] for share in two["scaling"]} == {"strong_over_one_device"}
    per_device = two["examples_per_s_per_device"]["value"]
    assert per_device == two["examples_per_s"]["value"] / 2


def test_an_infinite_bound_is_valid_json(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run").path)
    infinite = tuple(
        replace(v, epoch_s=replace(v.epoch_s, high=math.inf)) for v in summary.variants if v.epoch_s
    )
    (run,) = report_runs(replace(summary, variants=infinite))
    assert {v["epoch_s"]["high"] for v in run["variants"]} == {"Infinity"}


def test_unknown_values_are_null(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", change=lambda _: None).path)
    results = run_results(summary)
    assert {v.epoch_s for v in results.variants} == {None}
    (run,) = report_runs(summary)
    assert {note["code"] for v in run["variants"] for note in v["notes"]} == {"no_record"}
