"""One summary in three formats."""

import csv as csv_reader
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.summary import Summary, summarize
from bench.records.trial_record import TrialRecord
from bench.report.text.latex import latex
from bench.report.text.table_formats import csv, markdown
from tests.support.sample_records import NORMS, make_run

HOSTILE = "a|b & 5% _x_ <script> [matrix] \\ {z} 中\n\x1b[31m"
LABELLED: dict[str, Any] = {
    "name": "hostile",
    "description": "What | it <costs>",
    "blocks": 2,
    "variants": [{"label": "[matrix] plain"}, {"label": HOSTILE, "norm": "bn_post"}],
    "compare": [{"axis": "label", "baseline": "[matrix] plain"}],
}


def one_out_of_memory(record: TrialRecord) -> TrialRecord:
    if record.trial.variant.norm != "bn_pre" or record.trial.block:
        return record
    return record.model_copy(update={"status": "out_of_memory", "error": "no room for a|b"})


@pytest.fixture
def norms(tmp_path: Path) -> Summary:
    cost = {"none": 0.07, "bn_post": 0.14, "bn_pre": 0.13}
    folder = make_run(
        tmp_path / "run",
        epoch_s=lambda t, _: cost[t.variant.norm] * (1 + 0.01 * t.block * (t.order % 3)),
        change=one_out_of_memory,
    )
    return summarize(folder.path)


@pytest.fixture
def hostile(tmp_path: Path) -> Summary:
    return summarize(make_run(tmp_path / "hostile", LABELLED).path)


def rows_of(text: str) -> list[list[str]]:
    first = text.split("\n## ")[0]
    lines = [line for line in first.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def test_markdown_has_a_row_per_variant_and_the_facts_of_the_run(norms: Summary) -> None:
    text = markdown(norms)
    header, rule, *rows = rows_of(text)
    assert [cell.strip() for cell in header] == [
        "Variant",
        "n",
        "Epoch time (ms)",
        "Throughput (k examples/s)",
        "Validation accuracy",
        "Test accuracy",
        "Epoch time ÷ norm=none",
        "Blocks",
    ]
    assert {len(row) for row in (header, rule, *rows)} == {8}
    assert [row[0].strip() for row in rows] == ["norm=none", "norm=bn_post", "norm=bn_pre"]
    assert rows[0][6].strip() == "1 (baseline)"
    assert rows[2][1].strip().startswith("2 of 3")
    for fact in (
        "# norms",
        "What batch normalisation costs",
        "- Command: bench run norms",
        "8 of 9 trials completed",
        "- When: 2026-01-01T00:00:00Z",
        "Model 1 CPU, 2 of 4 cores, 16.0 GB memory",
        "- GPUs: none",
        "tensorflow 2.21.0",
        "git revision 0123456789ab, with uncommitted changes",
        "OMP_NUM_THREADS=2",
        "was measured training",
    ):
        assert fact in text


def test_failures_and_excluded_blocks_have_footnotes(norms: Summary) -> None:
    text = markdown(norms)
    assert r"¹ 1 of 3 trials out of memory: no room for a\|b" in text
    assert "² 1 of 3 blocks left out: not both trials gave a time." in text
    assert "for this session only" in text


def test_a_confound_has_a_footnote_in_its_cell(tmp_path: Path) -> None:
    def no_xla(record: TrialRecord) -> TrialRecord:
        if record.trial.variant.norm == "none":
            return record
        return record.model_copy(update={"resolved": {**record.resolved, "xla": False}})

    text = markdown(summarize(make_run(tmp_path / "run", change=no_xla).path))
    assert rows_of(text)[3][6].strip().endswith("¹")
    assert "¹ Confounded, because not only the compared axis differs: xla is false, in" in text


def test_accuracy_on_synthetic_data_is_marked_as_meaningless(tmp_path: Path) -> None:
    suite = {**NORMS, "variant": {"dataset": "synthetic"}}
    text = markdown(summarize(make_run(tmp_path / "run", suite).path))
    assert "¹ Synthetic data: this accuracy means nothing." in text
    assert all(row[4].strip().endswith("¹") for row in rows_of(text)[2:])


def test_a_sweep_over_sizes_notes_the_fixed_cost_per_epoch(tmp_path: Path) -> None:
    suite = {**NORMS, "matrix": {"norm": ["none", "bn_pre"], "examples": [5000, 55000]}}
    assert "A fixed cost per epoch" in markdown(summarize(make_run(tmp_path / "r", suite).path))


def test_a_single_block_has_a_note_and_no_intervals(tmp_path: Path) -> None:
    text = markdown(summarize(make_run(tmp_path / "run", {**NORMS, "blocks": 1}).path))
    assert "A single block has no intervals" in text
    assert "[" not in "".join(rows_of(text)[2])


def test_markdown_shows_hostile_labels_literally(hostile: Summary) -> None:
    rows = rows_of(markdown(hostile))
    assert {len(row) for row in rows} == {8}
    assert rows[2][0].strip() == "[matrix] plain"
    assert rows[3][0].strip() == r"a\|b &amp; 5% \_x\_ &lt;script&gt; [matrix] \\ {z} 中 [31m"


def test_csv_has_raw_numbers_in_si_units(norms: Summary) -> None:
    rows = list(csv_reader.DictReader(io.StringIO(csv(norms))))
    assert [row["label"] for row in rows] == ["norm=none", "norm=bn_post", "norm=bn_pre"]
    for row, variant in zip(rows, norms.variants, strict=True):
        assert variant.epoch_s is not None
        assert float(row["epoch_s"]) == variant.epoch_s.value
        assert float(row["epoch_s_low"]) == variant.epoch_s.low
        assert int(row["epoch_s_n"]) == variant.epoch_s.n
    comparison = norms.variants[1].comparisons[0]
    assert comparison is not None and comparison.ratio is not None
    assert float(rows[1]["epoch_s_over_norm=none"]) == comparison.ratio.value
    assert int(rows[1]["epoch_s_over_norm=none_blocks"]) == comparison.ratio.blocks
    assert float(rows[0]["epoch_s_over_norm=none"]) == 1
    assert rows[0]["epoch_s_over_norm=none_low"] == ""
    assert rows[2]["notes"].startswith("1 of 3 trials out of memory: no room for a|b; ")


def test_csv_keeps_a_label_unchanged(hostile: Summary) -> None:
    rows = list(csv_reader.DictReader(io.StringIO(csv(hostile), newline="")))
    assert rows[1]["label"] == HOSTILE


def test_latex_is_a_complete_document_with_as_many_cells_as_columns(hostile: Summary) -> None:
    text = latex(hostile)
    assert text.startswith("\\documentclass")
    assert text.rstrip().endswith("\\end{document}")
    assert text.count("\\begin{") == text.count("\\end{")
    assert all(rule in text for rule in ("\\toprule", "\\midrule", "\\bottomrule"))
    body = text.split("\\endlastfoot\n")[1].split("\n\\end{longtable}")[0].splitlines()
    assert {len(re.findall(r"(?<!\\)&", row)) for row in body} == {7}
    assert all(row.endswith(r" \\") for row in body)
    # Otherwise TeX would read it as an argument of the row end before it.
    assert body[0].startswith("{}[matrix] plain")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_latex_compiles(hostile: Summary, norms: Summary, tmp_path: Path) -> None:
    for name, summary in (("hostile", hostile), ("norms", norms)):
        (tmp_path / f"{name}.tex").write_text(latex(summary), encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull" not in done.stdout
