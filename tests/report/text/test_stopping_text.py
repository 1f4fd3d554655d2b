"""The sentences about how a run with a precision ended."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.summary import summarize
from bench.report.page.page_content import page_content
from bench.report.text.result_json import run_results
from bench.report.text.stopping_text import further_text, stopping_text
from bench.report.text.table_formats import markdown
from bench.spec.pairing import Pair
from tests.support.sample_looks import LOOK
from tests.support.sample_pages import read
from tests.support.sample_records import make_run

LABELS = {"v1": "norm=layer", "v2": "norm=group"}
NOISE = (
    "A block's log ratio has a standard deviation of 3.5 %, pooled over 4 comparisons, which gives "
    "intervals of ±3.1 %; the widest by its own deviation is ±4.1 % (norm=layer)."
)


def text(**changes: Any) -> str:
    return stopping_text(LOOK.model_copy(update={"further_blocks": 0, **changes}), LABELS)


@pytest.mark.parametrize(
    ("rule", "beginning"),
    [
        ("precision", "The run ended after 6 blocks, when ratios were precise to ±2.0 %."),
        (
            "max_blocks",
            "max_blocks ended the run after 6 blocks, before ratios were precise to ±2.0 %.",
        ),
        ("max_time", "--max-time (20 min 00 s) ended the run after 6 blocks, before ratios were"),
    ],
)
def test_the_rule_comes_first_and_then_the_noise(rule: str, beginning: str) -> None:
    sentences = text(rule=rule, max_time_s=1200.0)
    assert sentences.startswith(beginning)
    assert NOISE in sentences
    assert ("it takes about 12 blocks in all." in sentences) == (rule != "precision")


def test_an_interrupted_run_says_how_to_go_on() -> None:
    sentences = text(rule=None, further_blocks=2)
    assert sentences.startswith(
        "The run has not ended: after 6 blocks, ratios were not yet precise"
    )
    assert "--resume" in sentences


def test_a_run_without_a_comparison_says_so_plainly() -> None:
    unknown = dict.fromkeys(("deviation", "df", "half_width", "widest", "widest_pair"))
    assert text(rule="no_comparison", comparisons=0, needed_blocks=None, **unknown) == (
        "The run ended after 6 blocks: it has no comparison whose interval could narrow."
    )


def test_comparisons_that_were_not_looked_at_are_named() -> None:
    pairs = [Pair(axis="norm", variant_id=v, baseline_id="v0") for v in ("v2", "v3")]
    sentences = text(rule="precision", left_out=tuple(pairs))
    assert sentences.endswith("fewer than half of their blocks count: norm=group, v3.")
    many = [Pair(axis="norm", variant_id=f"w{i}", baseline_id="v0") for i in range(9)]
    assert text(rule="precision", left_out=tuple(many)).endswith("w3, w4 and 4 more.")


def test_a_wider_interval_of_few_comparisons_is_explained() -> None:
    assert "95 %" not in text(rule="precision")
    sentences = text(rule="precision", comparisons=1, confidence=0.97)
    assert "t interval at 97 %, which covers 95 %" in sentences
    assert "widest by its own" not in sentences


def test_while_a_run_goes_on_the_blocks_that_it_may_take_are_shown() -> None:
    assert further_text(LOOK).endswith("2 more, about 12 in all")
    for needed in (None, 300):
        unlikely = LOOK.model_copy(update={"needed_blocks": needed})
        assert further_text(unlikely).endswith("2 more, up to 30 in all")


def test_table_page_and_json_have_it_for_runs_with_a_precision_only(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    without = summarize(folder.path)
    assert "precise" not in markdown(without)
    assert run_results(without).stopping is None
    pair = folder.info().pairs[0]
    ended = LOOK.model_copy(update={"rule": "precision", "further_blocks": 0, "widest_pair": pair})
    folder.write_info(folder.info().model_copy(update={"stopping": ended}))
    summary = summarize(folder.path)
    sentence = "The run ended after 6 blocks, when ratios were precise to ±2.0 %"
    assert sentence in markdown(summary)
    (shown,) = page_content([read(folder)], [[]]).runs
    assert sentence in shown.answer
    assert any(sentence in note for note in shown.notes)
    document = json.loads(run_results(summary).model_dump_json())
    assert document["stopping"]["rule"] == "precision"
    assert document["stopping"]["half_width"] == 0.0313
    assert document["stopping"]["widest_pair"] == pair.model_dump()
    assert any(note["code"] == "stopping" for note in document["notes"])
